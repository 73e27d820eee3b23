"""Decides which runs may begin.

The rows are the queue, and the number of open workflows is limited. Within a project, runs begin in
the order in which they were posted. The project with the fewest open runs is next. Beyond the
limits, a few runs of models with few open runs begin, so that the runs of a model that gives no
answers do not keep all others waiting.
"""

import random
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlmodel import col

from core import clock
from core.db.database import Reader, Writer
from core.db.tables import EvalRun
from core.queries import leases
from core.queries.run_rows import GOING_ON, WAITING
from core.run_spec import OpenRunLimits

MAX_PROJECTS_BEYOND: Final = 20
MAX_MODELS_BEYOND: Final = 10
"""Projects per admission, and models per project, whose runs may begin beyond the limits, because
each takes a query.
"""


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
    open_runs = await _open_runs(db)
    if not open_runs.have_room(run.project_id, run.model, limits):
        return False
    # Beyond the limits, only the runs of its own model wait before it.
    model = None if open_runs.within(run.project_id, limits) else run.model
    return not await _first_waiting(db, run.project_id, limit=1, besides=[run.id], model=model)


async def admit_next(
    db: Writer,
    limits: OpenRunLimits,
    *,
    namespace: str | None = None,
    beyond_limits: bool = True,
) -> Sequence[EvalRun]:
    """Admits the next runs. Concurrent callers run one after the other.

    `beyond_limits`: also runs of models with few open runs, which takes some queries.
    """
    await leases.serialize(db, "admission")
    open_runs = await _open_runs(db)
    turns = Counter[UUID]()
    waiting = await _waiting_by_project(db)
    open_of = {project: open_runs.of(project) for project in waiting}
    for _ in range(limits.in_all - open_runs.total):
        ready = [
            project
            for project, count in waiting.items()
            if turns[project] < count and open_of[project] + turns[project] < limits.per_project
        ]
        if not ready:
            break
        turns[min(ready, key=lambda project: (open_of[project] + turns[project], project))] += 1
    admitted: list[EvalRun] = []
    for project, count in turns.items():
        admitted += await _first_waiting(db, project, limit=count)
    for row in admitted:
        open_runs.add(row)
    sample = min(len(waiting), MAX_PROJECTS_BEYOND) if beyond_limits else 0
    for project in random.sample(list(waiting), sample):
        admitted += await _beyond_limits(db, project, open_runs, limits, admitted)
    now = clock.now()
    for row in admitted:
        row.admitted_at, row.temporal_namespace = now, namespace
    return admitted


async def _beyond_limits(
    db: Writer,
    project: UUID,
    open_runs: "_OpenRuns",
    limits: OpenRunLimits,
    admitted: Sequence[EvalRun],
) -> list[EvalRun]:
    """The waiting runs of models with few open runs, for which there is room beyond the limits."""
    found: list[EvalRun] = []
    if open_runs.are_full(project, limits):
        return found
    for model in await _waiting_models(db, project):
        while open_runs.have_room(project, model, limits):
            besides = [row.id for row in (*admitted, *found)]
            rows = await _first_waiting(db, project, limit=1, besides=besides, model=model)
            if not rows:
                break
            open_runs.add(rows[0])
            found += rows
    return found


async def _waiting_models(db: Reader, project_id: UUID) -> list[str]:
    """Models of waiting runs, at most `MAX_MODELS_BEYOND`. Finds each by one step in the index."""
    found: list[str] = []
    while len(found) < MAX_MODELS_BEYOND:
        where = [col(EvalRun.project_id) == project_id, *WAITING]
        if found:
            where.append(col(EvalRun.model) > found[-1])
        query = select(col(EvalRun.model)).where(*where).order_by(col(EvalRun.model)).limit(1)
        model = await db.scalar(query)
        if model is None:
            break
        found.append(model)
    return found


@dataclass(slots=True)
class _OpenRuns:
    """The number of open runs by project and model."""

    counts: Counter[tuple[UUID, str]]

    @property
    def total(self) -> int:
        return self.counts.total()

    def of(self, project: UUID) -> int:
        return sum(count for (one, _), count in self.counts.items() if one == project)

    def of_model(self, model: str) -> int:
        return sum(count for (_, one), count in self.counts.items() if one == model)

    def add(self, run: EvalRun) -> None:
        self.counts[run.project_id, run.model] += 1

    def within(self, project: UUID, limits: OpenRunLimits) -> bool:
        return self.of(project) < limits.per_project and self.total < limits.in_all

    def have_room(self, project: UUID, model: str, limits: OpenRunLimits) -> bool:
        if self.within(project, limits):
            return True
        is_crowded = self._is_crowded(project, model, limits)
        return not is_crowded and not self.are_full(project, limits)

    def are_full(self, project: UUID, limits: OpenRunLimits) -> bool:
        """Whether no run may begin, of whatever model."""
        most = limits.per_project + limits.more_per_project
        most_in_all = limits.in_all + limits.more_in_all
        return self.of(project) >= most or self.total >= most_in_all

    def _is_crowded(self, project: UUID, model: str, limits: OpenRunLimits) -> bool:
        of_project = self.of(project) >= limits.per_project
        in_all = self.total >= limits.in_all
        return (of_project and self.counts[project, model] >= limits.more_per_project) or (
            in_all and self.of_model(model) >= limits.more_in_all
        )


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


# Built once, because every POST of a run executes it.
_OPEN_RUNS: Final = (
    select(col(EvalRun.project_id), col(EvalRun.model), func.count())
    .where(*GOING_ON)
    .group_by(col(EvalRun.project_id), col(EvalRun.model))
)


async def _open_runs(db: Reader) -> _OpenRuns:
    rows = await db.execute(_OPEN_RUNS)
    return _OpenRuns(Counter({(project, model): count for project, model, count in rows}))


async def _waiting_by_project(db: Reader) -> dict[UUID, int]:
    rows = await db.execute(
        select(col(EvalRun.project_id), func.count())
        .where(*WAITING)
        .group_by(col(EvalRun.project_id))
    )
    return dict(rows.all())


async def _first_waiting(
    db: Reader,
    project_id: UUID,
    *,
    limit: int,
    besides: Collection[UUID] = (),
    model: str | None = None,
) -> Sequence[EvalRun]:
    """The runs that wait longest, of `model` if it is given."""
    where = [col(EvalRun.project_id) == project_id, *WAITING]
    if besides:
        where.append(col(EvalRun.id).not_in(besides))
    if model is not None:
        where.append(col(EvalRun.model) == model)
    rows = await db.execute(
        select(EvalRun)
        .where(*where)
        .order_by(col(EvalRun.created_at), col(EvalRun.id))
        .limit(limit)
    )
    return rows.scalars().all()
