"""Draws and freezes the sample of a run: its targets, in judging order."""

import math
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sqlalchemy import Row, Select, case, func, insert, literal, select, tuple_
from sqlmodel import col

from core import clock
from core.db import paging, predicates
from core.db.database import Reader, Writer
from core.db.tables import EvalRun, EvalRunTarget, Trace
from core.filters import SessionFilters, TraceFilters
from core.ids import ProjectId, TargetType
from core.queries.trace_settling import is_settled

TARGETS_PER_PAGE = 5_000

MAX_SMALL_PAIRS: Final = 100
"""A run of at most this many pairs can be started with its pairs."""

SortColumns = tuple[Any, ...]


def ids_key(target_type: TargetType) -> str:
    """The filter key under which a run names its targets."""
    return "trace_ids" if target_type is TargetType.TRACE else "session_ids"


def sample_size(matching: int, rate: float) -> int:
    """`floor(n·r)`, but at least 1 if the rate is above 0 and any target matches."""
    if rate <= 0 or matching == 0:
        return 0
    # Binary floats may lie slightly below their decimal value: 100 · 0.29 must be 29.
    return max(1, min(matching, math.floor(matching * rate + 1e-9)))


class Sampler:
    """Picks exactly k of n items in sequence; all sets of k are equally likely.

    Selection sampling (Knuth, TAOCP vol. 2, 3.4.2, algorithm S) holds no list of candidates. The
    same seed picks the same positions.
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


def is_small(run: EvalRun, targets: int) -> bool:
    return targets * len(run.metric_names) <= MAX_SMALL_PAIRS


async def freeze_named(db: Writer, run: EvalRun) -> None:
    """Freezes the targets of a new run that names them.

    These targets need no search, and none may be deleted by age while the run waits.
    """
    if run.total_targets == 0:  # A retry or a run that names many targets already has its targets.
        named = run.filters.get(ids_key(run.target_type), ())
        if not named:
            return
        await write(db, run, first=0, target_ids=named)
        run.total_targets = len(named)
    run.resolved_at = clock.now()


async def draw(db: Reader, run: EvalRun) -> list[str]:
    """The sample in judging order; empty if the run has its targets already.

    Only reads, because scanning a million traces must not block writers.
    """
    if run.resolved_at is not None or await _frozen(db, run):
        return []
    return [target async for page in _sampled_pages(db, run) for target in page]


async def freeze(db: Writer, run: EvalRun, drawn: Sequence[str]) -> int:
    """Writes the run's targets, once, and returns their number."""
    if run.resolved_at is not None:
        return run.total_targets
    total = await _frozen(db, run)
    if total == 0:
        await write_all(db, run, drawn)
        total = len(drawn)
    run.total_targets = total
    run.resolved_at = clock.now()
    return total


async def write_all(db: Writer, run: EvalRun, target_ids: Sequence[str]) -> None:
    """Like `write`, in pages."""
    for first in range(0, len(target_ids), TARGETS_PER_PAGE):
        await write(db, run, first=first, target_ids=target_ids[first : first + TARGETS_PER_PAGE])


async def write(db: Writer, run: EvalRun, *, first: int, target_ids: Sequence[str]) -> None:
    """Writes targets for all metrics of the run."""
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
    """The number of frozen targets. A retry has all of its targets from its creation."""
    rows = await db.execute(
        select(func.count()).select_from(EvalRunTarget).where(col(EvalRunTarget.run_id) == run.id)
    )
    return rows.scalar_one()


async def _sampled_pages(db: Reader, run: EvalRun) -> AsyncIterator[list[str]]:
    named = run.filters.get(ids_key(run.target_type))
    if named is not None:
        for chunk in paging.chunks(named, TARGETS_PER_PAGE):
            yield list(chunk)
        return
    query, columns = _candidates(run)
    result = await db.execute(select(func.count()).select_from(query.subquery()))
    matching = result.scalar_one()
    sampler = Sampler(picked=sample_size(matching, run.sampling_rate), of=matching, seed=run.id.int)
    async for rows in _in_order(db, query, columns):
        yield [str(row[-1]) for row in rows if sampler.takes_next()]


def _candidates(run: EvalRun) -> tuple[Any, SortColumns]:
    """The candidates of the run, and the columns that order them; the last column is the target's
    id.

    Traces come oldest first. Sessions come by id, the order of an index, so that no page repeats
    the grouping of an earlier page.
    """
    project_id = ProjectId(run.project_id)
    # A monitor leaves unsettled traces to its next run. A run that a person starts includes them.
    settled_only = run.monitor_id is not None
    if run.target_type is TargetType.SESSION:
        sessions = predicates.session_ids(SessionFilters.model_validate(run.filters), project_id)
        if settled_only:
            sessions = sessions.having(func.sum(case((is_settled(), 0), else_=1)) == 0)
        return sessions, (col(Trace.session_id),)
    columns = (col(Trace.started_at), col(Trace.id))
    where = predicates.traces_where(TraceFilters.model_validate(run.filters), project_id)
    if settled_only:
        where = [*where, is_settled()]
    return select(*columns).where(*where), columns


async def _in_order(
    db: Reader, query: Select[Any], columns: SortColumns
) -> AsyncIterator[Sequence[Row[Any]]]:
    """Reads page by page; each page starts in the index where the last one ended."""
    query = query.order_by(*columns).limit(TARGETS_PER_PAGE)
    page = (await db.execute(query)).all()
    while page:
        yield page
        last = [literal(value, of.type) for value, of in zip(page[-1], columns, strict=True)]
        after = tuple_(*columns) > tuple_(*last)
        page = (await db.execute(query.where(after))).all()
