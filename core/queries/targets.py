"""The frozen sample of a run: which targets it judges, in which order."""

import math
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import Row, Select, func, insert, literal, select, tuple_
from sqlmodel import col

from core import clock
from core.database import Reader, Writer
from core.filters import TraceFilters
from core.ids import ProjectId, TargetType
from core.queries import sessions
from core.session_filters import SessionFilters
from core.tables import EvalRun, EvalRunTarget, Trace

PAGE = 5_000

Place = tuple[Any, ...]


def ids_key(target_type: TargetType) -> str:
    """Under which a run that names its targets keeps them in its filters."""
    return "trace_ids" if target_type is TargetType.TRACE else "session_ids"


def sample_size(matching: int, rate: float) -> int:
    """`floor(n·r)`, but at least 1 where the rate is above 0 and anything matches."""
    if rate <= 0 or matching == 0:
        return 0
    # A decimal rate such as 0.29 is a little below its name in binary: 100 · 0.29 must be 29.
    return max(1, min(matching, math.floor(matching * rate + 1e-9)))


class Sampler:
    """Picks exactly k of n items seen in sequence, each set of k equally likely.

    Selection sampling (Knuth, TAOCP vol. 2, 3.4.2, algorithm S): no list of
    candidates is held. The same seed picks the same positions.
    """

    def __init__(self, *, picked: int, of: int, seed: int) -> None:
        self._wanted = picked
        self._left = of
        self._random = random.Random(seed)

    def takes_next(self) -> bool:
        if self._wanted == 0 or self._left == 0:
            return False
        taken = self._random.random() * self._left < self._wanted
        self._left -= 1
        self._wanted -= taken
        return taken


async def draw(db: Reader, run: EvalRun) -> list[str]:
    """The sample, in judging order; nothing where the run has its targets already.

    Only reads: looking through a million traces must hold up nobody who writes.
    """
    if run.resolved_at is not None or await _frozen(db, run):
        return []
    return [target async for page in _sampled_pages(db, run) for target in page]


async def freeze(db: Writer, run: EvalRun, drawn: Sequence[str]) -> int:
    """Writes the run's targets, once, and returns how many it has."""
    if run.resolved_at is not None:
        return run.total_targets
    total = await _frozen(db, run)
    if total == 0:
        for first in range(0, len(drawn), PAGE):
            await write(db, run, first=first, target_ids=drawn[first : first + PAGE])
        total = len(drawn)
    run.total_targets = total
    run.resolved_at = clock.now()
    return total


async def write(db: Writer, run: EvalRun, *, first: int, target_ids: Sequence[str]) -> None:
    """Targets that are judged by every metric of the run."""
    if not target_ids:
        return
    pairs = len(run.metric_names)
    await db.execute(
        insert(EvalRunTarget),
        [
            {"run_id": run.id, "seq": first + n, "target_id": target, "pair_count": pairs}
            for n, target in enumerate(target_ids)
        ],
    )


async def _frozen(db: Reader, run: EvalRun) -> int:
    """How many targets are there already: those of a retry are, from its creation on."""
    found = await db.execute(
        select(func.count()).select_from(EvalRunTarget).where(col(EvalRunTarget.run_id) == run.id)
    )
    return found.scalar_one()


async def _sampled_pages(db: Reader, run: EvalRun) -> AsyncIterator[list[str]]:
    named = run.filters.get(ids_key(run.target_type))
    if named is not None:
        for start in range(0, len(named), PAGE):
            yield named[start : start + PAGE]
        return
    query, place = _candidates(run)
    found = await db.execute(select(func.count()).select_from(query.subquery()))
    matching = found.scalar_one()
    sampler = Sampler(picked=sample_size(matching, run.sampling_rate), of=matching, seed=run.id.int)
    async for rows in _by_place(db, query, place):
        yield [str(row[-1]) for row in rows if sampler.takes_next()]


def _candidates(run: EvalRun) -> tuple[Any, Place]:
    """What the run may judge, and the columns that order it; the last of them is the target's id.

    Traces come oldest first. Sessions come by id: in the order of an index, so that
    no page groups again what the pages before it have grouped.
    """
    project_id = ProjectId(run.project_id)
    if run.target_type is TargetType.SESSION:
        filters = SessionFilters.of_run(run.filters)
        return sessions.matching_ids(project_id, filters), (col(Trace.session_id),)
    place = (col(Trace.started_at), col(Trace.id))
    where = TraceFilters.model_validate(run.filters).where(project_id)
    return select(*place).where(*where), place


async def _by_place(
    db: Reader, query: Select[Any], place: Place
) -> AsyncIterator[Sequence[Row[Any]]]:
    """A page at a time, each page found by the index from where the last ended."""
    query = query.order_by(*place).limit(PAGE)
    page = (await db.execute(query)).all()
    while page:
        yield page
        last = [literal(value, at.type) for value, at in zip(page[-1], place, strict=True)]
        after = tuple_(*place) > tuple_(*last)
        page = (await db.execute(query.where(after))).all()
