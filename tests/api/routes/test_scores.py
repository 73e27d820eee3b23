"""Scores over HTTP: of a run, listed, newest of a trace."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from api.routes import runs as run_routes
from api.schemas.pages import PageOf
from api.schemas.scores import TraceScoreBody
from core.db.tables import Score
from core.ids import ProjectId, RunStatus, ScoreSource, ScoreStatus, ScoreType, TargetType
from core.queries import projects, run_pairs, run_rows, run_sampling
from tests.api.conftest import Service
from tests.factories import START, new_run, new_score

SCORES = "/evaluations/trace-scores"


def a_score(project_id: ProjectId, **overrides: Any) -> Score:
    moment: datetime = overrides.pop("created_at", START)
    fields: dict[str, Any] = {
        "id": uuid4(),
        "project_id": project_id,
        "target_type": TargetType.TRACE,
        "target_id": str(uuid4()),
        "name": "task_completion",
        "status": ScoreStatus.SUCCESS,
        "source": ScoreSource.AUTOMATED,
        "data_type": ScoreType.NUMERIC,
        "value": "0.5",
        "number": 0.5,
        "reason": "Because.",
        "meta": {"threshold": 0.5},
        "created_at": moment,
        "updated_at": moment,
    }
    return Score(**fields | overrides)


async def store(service: Service, *scores: Score) -> list[str]:
    async with service.database.write() as db:
        db.add_all(scores)
    return [str(score.id) for score in scores]


async def open_run(service: Service) -> UUID:
    new = new_run(service.project_id)
    async with service.database.write() as db:
        return (await run_rows.create(db, new)).id


@pytest.mark.parametrize("a_read", [1, 2, 3, 500])
async def test_a_run_gives_every_pair_once(
    service: Service, monkeypatch: pytest.MonkeyPatch, a_read: int
) -> None:
    monkeypatch.setattr(run_routes, "SCORES_PER_READ", a_read)
    run_id, other = await open_run(service), await open_run(service)
    path = f"/evaluations/trace-runs/{run_id}/scores"
    assert (await service.client.get(path)).json() == []
    of_run = [
        a_score(service.project_id, eval_run_id=run_id, target_id=target, name=name)
        for target in (str(uuid4()), str(uuid4()))
        for name in ("task_completion", "tool_correctness", "step_efficiency")
    ]
    await store(service, *of_run, a_score(service.project_id, eval_run_id=other))
    answer = await service.client.get(path)
    assert answer.headers["content-type"] == "application/json"
    found = [TraceScoreBody.model_validate(item, extra="forbid") for item in answer.json()]
    assert sorted(score.id for score in found) == sorted(score.id for score in of_run)
    pairs = [(str(score.trace_id), score.name) for score in found]
    assert pairs == sorted(pairs)


@pytest.mark.parametrize("a_read", [1, 2, 500])
async def test_open_pairs_are_pending_until_the_run_ends(
    service: Service, monkeypatch: pytest.MonkeyPatch, a_read: int
) -> None:
    monkeypatch.setattr(run_routes, "SCORES_PER_READ", a_read)
    traces = [await service.post_trace(environment="prod") for _ in range(3)]
    metrics = ["task_completion", "coherence"]
    new = new_run(service.project_id, metric_names=metrics, filters={"trace_ids": traces})
    async with service.database.write() as db:
        run = await run_rows.create(db, new)
    path = f"/evaluations/trace-runs/{run.id}/scores"
    pairs = sorted((trace, metric) for trace in traces for metric in metrics)

    async def listed() -> dict[tuple[str, str], TraceScoreBody]:
        answer = (await service.client.get(path)).json()
        found = [TraceScoreBody.model_validate(item, extra="forbid") for item in answer]
        assert sorted((str(score.trace_id), score.name) for score in found) == pairs
        return {(str(score.trace_id), score.name): score for score in found}

    before = await listed()
    assert {(s.status, s.value, s.environment) for s in before.values()} == {
        (ScoreStatus.PENDING, None, "prod")
    }
    async with service.database.write() as db:
        row = await run_rows.begin(db, service.project_id, run.id)
        await run_sampling.freeze(db, row, traces)
        await run_pairs.record(db, [new_score(row, traces[1], metric="coherence")])
    after = await listed()
    scored = after.pop((traces[1], "coherence"))
    assert scored.status is ScoreStatus.SUCCESS
    assert {pair: score.id for pair, score in after.items()} == {
        pair: before[pair].id for pair in after
    }
    async with service.database.write() as db:
        await run_rows.finish(
            db, service.project_id, run.id, status=RunStatus.FAILED, error_message="x"
        )
    assert [score["id"] for score in (await service.client.get(path)).json()] == [str(scored.id)]


async def test_a_score_tells_all_there_is(service: Service) -> None:
    run_id = await open_run(service)
    row = a_score(
        service.project_id, eval_run_id=run_id, environment="prod", meta={"judge": {"calls": 2}}
    )
    await store(service, row)
    held = (await service.client.get(SCORES)).json()["items"][0]
    assert held["trace_id"] == row.target_id
    assert (held["value"], held["reason"], held["environment"]) == ("0.5", "Because.", "prod")
    assert held["metadata"] == {"judge": {"calls": 2}}
    assert held["eval_run_id"] == str(run_id)


async def test_scores_are_listed_newest_first_by_every_filter(service: Service) -> None:
    project, run_id = service.project_id, await open_run(service)
    trace_id = await service.post_trace()
    ids = await store(
        service,
        a_score(project, target_id=trace_id, eval_run_id=run_id),
        a_score(project, name="own", source=ScoreSource.ANNOTATION, environment="prod",
                created_at=START + timedelta(hours=1)),
        a_score(project, status=ScoreStatus.FAILED, value=None, number=None,
                created_at=START + timedelta(hours=2)),
        a_score(project, data_type=ScoreType.BOOLEAN, value="true", number=None,
                created_at=START + timedelta(hours=3)),
        a_score(project, target_type=TargetType.SESSION, target_id="s",
                created_at=START + timedelta(hours=4)),
    )  # fmt: skip
    async with service.database.write() as db:
        other = await projects.ensure(db, "other")
    await store(service, a_score(other))

    async def listed(**query: Any) -> list[int]:
        answer = await service.client.get(SCORES, params=query)
        assert answer.status_code == 200, answer.text
        page = PageOf[TraceScoreBody].model_validate(answer.json(), extra="forbid")
        return [ids.index(str(item.id)) for item in page.items]

    assert await listed() == [3, 2, 1, 0]
    assert await listed(limit=1, offset=1) == [2]
    assert await listed(trace_id=trace_id) == [0]
    assert await listed(trace_id=trace_id.upper()) == [0]
    assert await listed(eval_run_id=run_id) == [0]
    assert await listed(name="own") == [1]
    assert await listed(source="ANNOTATION") == [1]
    assert await listed(environment="prod") == [1]
    assert await listed(status="FAILED") == [2]
    assert await listed(data_type="BOOLEAN") == [3]
    bounds = {"date_from": START + timedelta(hours=1), "date_to": START + timedelta(hours=3)}
    assert await listed(**{k: v.isoformat() for k, v in bounds.items()}) == [2, 1]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 201},
        {"offset": -1},
        {"trace_id": "x"},
        {"eval_run_id": "x"},
        {"source": "MANUAL"},
        {"status": "OK"},
        {"data_type": "TEXT"},
        {"date_from": "never"},
        {"date_from": "2026-09-02", "date_to": "2026-09-01"},
        {"name": "\0"},
        {"environment": "\0"},
        {"metric": "own"},
    ],
)
async def test_bad_parameters_are_422(shared_service: Service, query: dict[str, Any]) -> None:
    assert (await shared_service.client.get(SCORES, params=query)).status_code == 422


async def test_of_a_trace_the_newest_score_by_each_metric_is_given(service: Service) -> None:
    trace_id = await service.post_trace()
    rows = [
        a_score(service.project_id, target_id=trace_id, name=name, value=value,
                created_at=START + timedelta(hours=hour))
        for name, value, hour in (
            ("b", "0.1", 1), ("a", "0.2", 2), ("b", "0.3", 3), ("b", "0.4", 2)
        )
    ]  # fmt: skip
    await store(service, *rows)
    answer = await service.client.get(f"{SCORES}/{trace_id}")
    found = [TraceScoreBody.model_validate(item, extra="forbid") for item in answer.json()]
    assert [(score.name, score.value) for score in found] == [("a", "0.2"), ("b", "0.3")]


async def test_an_unknown_trace_has_no_scores(service: Service) -> None:
    assert (await service.client.get(f"{SCORES}/{uuid4()}")).json() == []
    trace_id = await service.post_trace()
    assert (await service.client.get(f"{SCORES}/{trace_id}")).json() == []
    theirs = {"X-API-Key": await service.key(), "X-Project-Name": "theirs"}
    assert (await service.client.get(f"{SCORES}/{trace_id}", headers=theirs)).json() == []
