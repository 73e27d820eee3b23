"""Runs as rows of a table, with their means by metric; rows of open runs are live."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from markupsafe import Markup

from api.dashboard import charts, formats, views
from api.dashboard.access import ProjectViewer
from api.dashboard.charts import BarPart
from api.runs import figures, progress
from api.schemas.runs import EvalRunBody
from core import clock
from core.queries.run_figures import MetricFigures

if TYPE_CHECKING:
    from core.db.tables import EvalRun


@dataclass(frozen=True, slots=True)
class RunRow:
    """`ended`, `failed` and `pairs` count pairs; None if only Temporal has the number."""

    run: EvalRunBody
    name: str
    status: views.StatusView
    means: dict[str, views.Cell | None]
    ended: int
    failed: int
    pairs: int | None
    progress: Markup
    per_second: float | None
    left: str
    cost: float | None
    note: str
    is_open: bool


async def rows(viewer: ProjectViewer, runs: "Sequence[EvalRun]") -> list[RunRow]:
    bodies = await progress.live_all(viewer.stack, runs)
    of_runs = await figures.of_runs(viewer.stack, viewer.project.id, runs)
    return [_row(body, of_runs.get(body.id, {})) for body in bodies]


def _row(run: EvalRunBody, by_metric: dict[str, MetricFigures]) -> RunRow:
    is_open = not run.status.terminal
    elapsed = (clock.now() - run.created_at).total_seconds()
    rate = (
        run.evaluated_count / elapsed if is_open and run.evaluated_count and elapsed > 0 else None
    )
    remaining = run.total_targets - run.evaluated_count
    left = formats.duration(timedelta(seconds=remaining / rate)) if rate and remaining else "–"
    return RunRow(
        run=run,
        name=views.run_name(run),
        status=views.run_status(run),
        means={name: views.mean_cell(by_metric.get(name)) for name in run.metric_names},
        ended=sum(one.ended for one in by_metric.values()),
        failed=sum(one.failed for one in by_metric.values()),
        pairs=_pairs(run),
        progress=_progress(run),
        per_second=rate,
        left=left,
        cost=run.usage.cost_usd if run.usage else None,
        note=run.activity or run.error_message or "",
        is_open=is_open,
    )


def _pairs(run: EvalRunBody) -> int | None:
    """None for a retry, whose row does not have the number of pairs."""
    is_retry = "retry_of" in run.filters
    return None if is_retry or not run.total_targets else run.total_targets * len(run.metric_names)


def _progress(run: EvalRunBody) -> Markup:
    noun = views.target_noun(run.target_type)
    label = f"{run.evaluated_count:,} of {run.total_targets:,} {noun}s"
    kind = "full" if not run.status.terminal else "base2"
    return charts.progress([BarPart(run.evaluated_count, kind)], run.total_targets, label)
