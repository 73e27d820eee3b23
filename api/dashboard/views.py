"""Views of values for templates: states, score cells, pages of a list, filters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from api.dashboard import formats
from api.dashboard.rendering import Addresses
from api.schemas.runs import EvalRunBody
from core import clock
from core.content_limits import MAX_LISTED_IDS
from core.db.paging import Page
from core.ids import RunStatus, ScoreStatus, TargetType
from core.queries.run_figures import BUCKETS, MetricFigures
from core.queries.run_rows import CANCELLED
from core.queries.trace_titles import TraceTitle
from core.score_values import DEFAULT_THRESHOLD
from evals import catalog
from evals.metric import SessionMetric, TraceMetric

if TYPE_CHECKING:
    from core.db.tables import Score

GONE: Final = TraceTitle("deleted trace", "")

_PERIODS: Final = {"24h": 1, "7d": 7, "14d": 14, "30d": 30, "90d": 90}


@dataclass(frozen=True, slots=True)
class StatusView:
    """A state as a shape and a word, so that color is never the only sign."""

    shape: str
    word: str


def run_status(run: EvalRunBody) -> StatusView:
    match run.status:
        case RunStatus.COMPLETED:
            return StatusView("done", "Completed")
        case RunStatus.FAILED:
            cancelled = (run.error_message or "") == CANCELLED
            return StatusView("fail", "Cancelled" if cancelled else "Failed")
        case RunStatus.PENDING:
            return StatusView("wait", "Pending")
        case RunStatus.RUNNING if run.paused:
            return StatusView("stop", "Paused")
        case RunStatus.RUNNING:
            return StatusView("run", "Running")


def run_name(run: EvalRunBody) -> str:
    return run.name or f"Run {formats.short_id(run.id)}"


def bucket_names() -> list[str]:
    """Column heads of a histogram's table: the start of each bucket."""
    return [f"{place / BUCKETS:.2f}" for place in range(BUCKETS)]


def figure_row(figures: MetricFigures) -> list[str | float | int | None]:
    """The figures behind a metric's charts: mean, interval, and a count per bucket."""
    low, high = figures.sums.interval or (None, None)
    return [figures.name, figures.sums.mean, low, high, *figures.histogram]


def target_noun(target_type: TargetType) -> str:
    return target_type.value.lower()


@dataclass(frozen=True, slots=True)
class Cell:
    """A score in a table. `tone` is `bad` below the threshold."""

    text: str
    tone: str = ""
    title: str = ""


def score_cell(score: "Score", threshold: float | None = None) -> Cell:
    """The cell of a score. A state is never shown as a number.

    `threshold` defaults to the threshold of the metric.
    """
    if score.status is ScoreStatus.FAILED:
        return Cell("failed", "bad", formats.first_line(score.reason or "", 300))
    if score.status is ScoreStatus.PENDING:
        return Cell("waiting", "f")
    if score.value is None:
        return Cell("n/a", "f", formats.first_line(score.reason or "not applicable", 300))
    if score.number is None:
        return Cell(formats.first_line(score.value, 40))
    limit = threshold_of(score.name) if threshold is None else threshold
    return Cell(formats.score(score.number), "bad" if score.number < limit else "")


def score_cells(scores: Iterable["Score"]) -> dict[str, tuple[Cell, UUID]]:
    """The cell and the id of each score, by metric."""
    return {score.name: (score_cell(score), score.id) for score in scores}


def figure_rows(scores: "Sequence[Score]") -> list[list[str | float | int | None]]:
    """The figures behind the charts of single scores: metric, score and threshold."""
    return [
        [score.name, score.number, threshold_of(score.name)]
        for score in scores
        if score.number is not None
    ]


def mean_cell(figures: MetricFigures | None) -> Cell | None:
    """The cell of a mean; None if the run has no number by this metric."""
    if figures is None or figures.sums.mean is None:
        return None
    mean = figures.sums.mean
    return Cell(formats.score(mean), "bad" if mean < figures.threshold else "")


@dataclass(frozen=True, slots=True)
class PageView:
    """A page of a list, and the addresses of the previous and the next page."""

    total: int
    first: int
    last: int
    previous: str | None
    next: str | None


def page_view(at: Addresses, page: Page, shown: int, total: int) -> PageView:
    previous = None if page.offset == 0 else at(offset=max(0, page.offset - page.limit) or None)
    following = page.offset + shown
    return PageView(
        total=total,
        first=page.offset + 1 if shown else 0,
        last=following,
        previous=previous,
        next=at(offset=following) if shown and following < total else None,
    )


@dataclass(frozen=True, slots=True)
class Chip:
    """An active filter; `remove` is the address of the list without it."""

    name: str
    value: str
    remove: str | None = None


def filter_chips(filters: Mapping[str, object], sampling_rate: float) -> list[Chip]:
    """The filters of a run or monitor, in words."""
    chips = [
        Chip(_FILTER_WORDS.get(name, name.replace("_", " ")), _filter_value(value))
        for name, value in filters.items()
    ]
    whole = "all" if sampling_rate >= 1 else f"{sampling_rate * 100:g} %"
    return [*chips, Chip("sample", whole)]


_FILTER_WORDS: Final = {
    "date_from": "started from",
    "date_to": "started before",
    "tags": "tags any of",
    "name": "name contains",
    "session_id": "session",
    "user_id": "user",
    "trace_ids": "traces",
    "session_ids": "sessions",
    "retry_of": "retry of",
    "has_error": "has an error",
    "min_trace_count": "traces at least",
}


def _filter_value(value: object) -> str:
    if isinstance(value, list):
        shown = ", ".join(str(one) for one in value[:3])
        more = " or more" if len(value) == MAX_LISTED_IDS else ""
        return shown if len(value) <= 3 else f"{len(value):,}{more} chosen"
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def period_start(period: str) -> datetime | None:
    """The start of a named period; None for an unknown name."""
    days = _PERIODS.get(period)
    return None if days is None else clock.now() - timedelta(days=days)


def threshold_of(name: str) -> float:
    return catalog.thresholds().get(name, DEFAULT_THRESHOLD)


def questions() -> dict[str, str]:
    """The question of each metric, by name."""
    metrics: list[TraceMetric | SessionMetric] = [
        *catalog.signal_metrics(),
        *catalog.session_metrics(),
    ]
    return {metric.name: metric.about for metric in metrics}


def metric_names() -> list[str]:
    """The names of all metrics that a run may name; metrics of traces come first."""
    return [
        *(metric.name for metric in catalog.trace_metrics()),
        *(metric.name for metric in catalog.session_metrics()),
    ]


def short_metric(name: str) -> str:
    """The short name of a metric, for a narrow column."""
    return name.split("_")[0]


def metric_columns(runs: Sequence[EvalRunBody], most: int = 6) -> list[str]:
    """The metrics that most of these runs have, in order of their first run."""
    counts: dict[str, int] = {}
    for run in runs:
        for name in run.metric_names:
            counts[name] = counts.get(name, 0) + 1
    ranked = sorted(counts, key=lambda name: -counts[name])[:most]
    return [name for name in counts if name in ranked]
