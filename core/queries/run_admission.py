"""Decides which runs may begin.

The rows are the queue, and the number of open workflows is limited. Within a project, runs begin in
the order in which they were posted. The project with the fewest open runs is next.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlmodel import col

from core import clock
from core.db.database import Reader, Writer
from core.db.tables import EvalRun
from core.queries import leases
from core.queries.run_rows import GOING_ON, WAITING
from core.run_spec import OpenRunLimits


async def admit_at_once(
    db: Writer, run: EvalRun, limits: OpenRunLimits, *, namespace: str | None = None
) -> bool:
    """Admits a new run if there is room and no other run waits before it.

    `namespace`: the Temporal namespace of its workflow. Concurrent requests may exceed the limit by
    the number of requests.
    """
    if not await may_begin(db, run, limits):
        return False
    run.admitted_at, run.temporal_namespace = clock.now(), namespace
    return True


async def may_begin(db: Reader, run: EvalRun, limits: OpenRunLimits) -> bool:
    """Whether there is room for a new run and no other run waits before it."""
    open_runs = await _open_by_project(db)
    if open_runs.total() >= limits.in_all or open_runs[run.project_id] >= limits.per_project:
        return False
    return not await _first_waiting(db, run.project_id, limit=1, besides=run.id)


async def admit_next(
    db: Writer, limits: OpenRunLimits, *, namespace: str | None = None
) -> Sequence[EvalRun]:
    """Admits the next runs. Concurrent callers run one after the other."""
    await leases.serialize(db, "admission")
    open_runs = await _open_by_project(db)
    turns = Counter[UUID]()
    waiting = await _waiting_by_project(db)
    for _ in range(limits.in_all - open_runs.total()):
        ready = [
            project
            for project, count in waiting.items()
            if turns[project] < count and open_runs[project] + turns[project] < limits.per_project
        ]
        if not ready:
            break
        turns[min(ready, key=lambda project: (open_runs[project] + turns[project], project))] += 1
    admitted: list[EvalRun] = []
    for project, count in turns.items():
        admitted += await _first_waiting(db, project, limit=count)
    now = clock.now()
    for row in admitted:
        row.admitted_at, row.temporal_namespace = now, namespace
    return admitted


async def any_waiting(db: Reader) -> bool:
    return (await db.execute(select(col(EvalRun.id)).where(*WAITING).limit(1))).first() is not None


async def count_before(db: Reader, run: EvalRun, *, at_most: int) -> int:
    """The number of earlier waiting runs of the same project, counted up to `at_most`."""
    place = tuple_(col(EvalRun.created_at), col(EvalRun.id))
    earlier = (
        select(1)
        .where(
            col(EvalRun.project_id) == run.project_id,
            *WAITING,
            place < tuple_(run.created_at, run.id),
        )
        .limit(at_most)
    )
    return await db.scalar(select(func.count()).select_from(earlier.subquery())) or 0


async def _open_by_project(db: Reader) -> Counter[UUID]:
    return Counter(dict(await _count_by_project(db, GOING_ON)))


async def _waiting_by_project(db: Reader) -> dict[UUID, int]:
    return dict(await _count_by_project(db, WAITING))


async def _count_by_project(db: Reader, where: tuple[ColumnElement[bool], ...]) -> list[Any]:
    rows = await db.execute(
        select(col(EvalRun.project_id), func.count())
        .where(*where)
        .group_by(col(EvalRun.project_id))
    )
    return [(project, count) for project, count in rows]


async def _first_waiting(
    db: Reader, project_id: UUID, *, limit: int, besides: UUID | None = None
) -> Sequence[EvalRun]:
    where = [col(EvalRun.project_id) == project_id, *WAITING]
    if besides is not None:
        where.append(col(EvalRun.id) != besides)
    rows = await db.execute(
        select(EvalRun)
        .where(*where)
        .order_by(col(EvalRun.created_at), col(EvalRun.id))
        .limit(limit)
    )
    return rows.scalars().all()
