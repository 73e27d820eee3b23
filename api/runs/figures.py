"""Figures of runs. The figures of an ended run are counted once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from api.dependencies import AppState
from core.ids import ProjectId
from core.queries import run_figures, stored_figures
from core.queries.run_figures import MetricFigures
from core.score_values import DEFAULT_THRESHOLD
from evals import catalog

if TYPE_CHECKING:
    from core.db.tables import EvalRun


async def of_run(stack: AppState, project_id: ProjectId, run: "EvalRun") -> list[MetricFigures]:
    """In the order of the run's metrics, including metrics without a score."""
    found = (await of_runs(stack, project_id, [run])).get(run.id, {})
    thresholds = catalog.thresholds()
    return [
        found.get(name) or MetricFigures(name, thresholds.get(name, DEFAULT_THRESHOLD))
        for name in run.metric_names
    ]


async def of_runs(
    stack: AppState, project_id: ProjectId, runs: "Sequence[EvalRun]"
) -> dict[UUID, dict[str, MetricFigures]]:
    """By run and metric name; omits runs and metrics without scores.

    Stores the counts of ended runs from earlier releases, and of ended runs whose scores changed.
    """
    async with stack.database.read() as db:
        figures = await run_figures.of_runs(db, project_id, runs, catalog.thresholds())
    for run in runs:
        if run.figures is None and run.completed_at is not None:
            counts = {name: one.counts for name, one in figures.get(run.id, {}).items()}
            async with stack.database.write() as db:
                await stored_figures.keep_counted(db, run, counts)
    return figures
