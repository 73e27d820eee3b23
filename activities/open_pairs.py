"""Lists the open pairs of a run, and the judge queue that they use."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

from temporalio import activity

from activities.payloads import JudgeRoute, OpenPairs, TargetRange
from core.db.database import Database, Reader
from core.ids import ProjectId, TargetType
from core.queries import open_runs, run_pairs, run_rows, run_sampling, workers
from core.queries.workers import Offer
from core.temporal.client import judge_queue

if TYPE_CHECKING:
    from core.db.tables import EvalRun

MIN_WEIGHT: Final = 0.001
"""The minimum fairness weight that Temporal accepts."""


NOTHING_OPEN: Final = OpenPairs([], JudgeRoute(""))


class PairLister:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_batch(self, batch: TargetRange) -> OpenPairs:
        """Open pairs of a batch; empty if the run is finished, cancelled or deleted."""
        async with self._database.read() as db:
            run = await run_rows.find(db, ProjectId(batch.run.project_id), batch.run.run_id)
            if run is None:
                return NOTHING_OPEN
            queue = activity.info().task_queue
            return await of_targets(db, run, queue, first=batch.first, last=batch.last)


async def of_targets(
    db: Reader, run: "EvalRun", task_queue: str, *, first: int, last: int
) -> OpenPairs:
    """Open pairs of the targets numbered `first` to `last`, both included; empty if the run is
    closed.
    """
    if run.status.terminal or run.cancel_requested_at is not None:
        return NOTHING_OPEN
    targets = await run_pairs.of_targets(db, ProjectId(run.project_id), run, first=first, last=last)
    weight = await _weight(db, run.project_id)
    route = _route(await workers.offered(db), run, weight, task_queue)
    return OpenPairs(targets, route, bundled=_is_bundled(run))


async def of_new_runs(
    db: Reader, runs: "Sequence[EvalRun]", task_queue: str
) -> Mapping[UUID, OpenPairs]:
    """Open pairs by id of those new runs that can be started with their pairs.

    Omits runs for which a worker must first resolve the targets or find a judge queue.
    """
    if workers.is_silent(await workers.last_seen(db)):
        return {}
    offer = await workers.offered(db)
    known = [
        run
        for run in runs
        if run.resolved_at is not None
        and run_sampling.is_small(run, run.total_targets)
        and (provider := offer.provider_of(run.model)) is not None
        and provider.available
    ]
    targets = await run_pairs.of_new_runs(db, known)
    weights = {project: await _weight(db, project) for project in {run.project_id for run in known}}
    return {
        run.id: OpenPairs(
            targets[run.id],
            _route(offer, run, weights[run.project_id], task_queue),
            bundled=_is_bundled(run),
        )
        for run in known
    }


def _is_bundled(run: "EvalRun") -> bool:
    return run.bundle and run.target_type is TargetType.TRACE


def _route(offer: Offer, run: "EvalRun", weight: float, task_queue: str) -> JudgeRoute:
    provider = offer.provider_of(run.model)
    key = provider.key if provider is not None and provider.available else None
    return JudgeRoute(judge_queue(task_queue, key), fairness_weight=weight)


async def _weight(db: Reader, project_id: UUID) -> float:
    """The open runs of a project share the weight of one run, so that each project gets an equal
    share.
    """
    going_on = await open_runs.count_open(db, ProjectId(project_id))
    return max(MIN_WEIGHT, 1 / max(1, going_on))
