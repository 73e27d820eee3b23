from collections import Counter
from uuid import uuid4

import pytest
from sqlmodel import col, select

from core.db.database import Database
from core.db.tables import EvalRunTarget
from core.ids import ProjectId
from core.queries import run_rows, run_sampling
from tests.conftest import make_project
from tests.factories import new_run, store_traces


async def frozen(database: Database, project_id: ProjectId, **overrides: object) -> list[str]:
    run = new_run(project_id, **overrides)
    async with database.write() as db:
        row = await run_rows.create(db, run)
        await run_sampling.freeze(db, row, await run_sampling.draw(db, row))
    async with database.read() as db:
        rows = await db.execute(
            select(col(EvalRunTarget.target_id))
            .where(col(EvalRunTarget.run_id) == run.spec.run_id)
            .order_by(col(EvalRunTarget.seq))
        )
        return list(rows.scalars())


@pytest.mark.parametrize(
    ("matching", "rate", "size"),
    [
        (10, 1.0, 10),
        (10, 0.5, 5),
        (10, 0.39, 3),
        (10, 0.01, 1),
        (10, 0.0, 0),
        (0, 1.0, 0),
        (100, 0.29, 29),
        (3, 0.9999999, 2),
    ],
)
def test_a_sample_is_the_floor_of_its_share_but_never_empty(
    matching: int, rate: float, size: int
) -> None:
    assert run_sampling.sample_size(matching, rate) == size


def test_a_sampler_picks_exactly_as_many_as_asked_each_equally_often() -> None:
    picks: Counter[int] = Counter()
    rounds = 4_000
    for seed in range(rounds):
        sampler = run_sampling.Sampler(picked=3, of=10, seed=seed)
        picked = [n for n in range(10) if sampler.takes_next()]
        assert len(picked) == 3
        picks.update(picked)
    for n in range(10):
        assert picks[n] == pytest.approx(rounds * 0.3, rel=0.1)


async def test_all_matching_traces_are_frozen_oldest_first(
    database: Database, project_id: ProjectId
) -> None:
    stored = await store_traces(database, project_id, 7)
    assert await frozen(database, project_id) == [str(target_id) for target_id in stored]


async def test_pages_join_without_gap_or_repeat(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_sampling, "TARGETS_PER_PAGE", 3)
    stored = await store_traces(database, project_id, 10)
    # All of these have the same start, so only the id separates the pages.
    for _ in range(5):
        stored += await store_traces(database, project_id, 1, name="same moment")
    found = await frozen(database, project_id)
    assert sorted(found) == sorted(str(target_id) for target_id in stored)


async def test_the_same_run_id_draws_the_same_sample(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 40)
    run_id = uuid4()
    first = await frozen(database, project_id, run_id=run_id, sampling_rate=0.25)
    async with database.write() as db:
        await run_rows.remove(db, project_id, run_id, delete_scores=False)
    assert await frozen(database, project_id, run_id=run_id, sampling_rate=0.25) == first
    assert len(first) == 10
    assert await frozen(database, project_id, sampling_rate=0.25) != first


async def test_filters_and_the_project_bound_what_is_frozen(
    database: Database, project_id: ProjectId
) -> None:
    other = await make_project(database, "other")
    await store_traces(database, other, 3, user_id="ada")
    await store_traces(database, project_id, 3, user_id="grace")
    wanted = await store_traces(database, project_id, 2, user_id="ada")
    found = await frozen(database, project_id, filters={"user_id": "ada"})
    assert found == [str(target_id) for target_id in wanted]


async def test_named_traces_are_taken_in_the_order_given(
    database: Database, project_id: ProjectId
) -> None:
    named = [str(uuid4()) for _ in range(3)]
    assert await frozen(database, project_id, filters={"trace_ids": named}) == named


async def test_freezing_twice_keeps_the_first_sample(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 2)
    run = new_run(project_id)
    async with database.write() as db:
        row = await run_rows.create(db, run)
        await run_sampling.freeze(db, row, await run_sampling.draw(db, row))
    await store_traces(database, project_id, 2, name="late")
    async with database.write() as db:
        row = await run_rows.lock(db, project_id, run.spec.run_id)
        assert await run_sampling.freeze(db, row, await run_sampling.draw(db, row)) == 2
        assert row.total_targets == 2
