"""Views of a comparison: sentences and rows."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from markupsafe import Markup

from api.dashboard import comparison_charts, formats
from api.dashboard.rendering import query
from api.schemas.comparisons import BlameShift, ComparisonBody, MetricComparison

MAX_BLAMED: Final = 12


@dataclass(frozen=True, slots=True)
class VerdictView:
    """The appearance of a verdict: a class of the stylesheet, an icon, and its rank."""

    shown_as: str
    icon: str
    tone: str
    place: int


VERDICTS: Final = {
    "worse": VerdictView("worse", "lower", "lo", 0),
    "better": VerdictView("better", "higher", "g", 1),
    "equivalent": VerdictView("equal", "equal", "", 2),
    "cannot tell": VerdictView("unsure", "unsure", "u", 3),
}


@dataclass(frozen=True, slots=True)
class MetricRow:
    metric: MetricComparison
    verdict: VerdictView
    note: str
    difference: Markup
    wins: Markup


@dataclass(frozen=True, slots=True)
class BlameRow:
    """`baseline` and `candidate` link to the counted scores."""

    shift: BlameShift
    bars: Markup
    baseline: str
    candidate: str


def rows(comparison: ComparisonBody) -> tuple[list[MetricRow], Markup]:
    """The metrics, worse ones first, and the axis of their differences."""
    reach = comparison_charts.scale(comparison.metrics, comparison.margin)
    metric_rows = [
        MetricRow(
            metric=metric,
            verdict=VERDICTS[metric.verdict],
            note=_note(metric, comparison.margin),
            difference=comparison_charts.difference(
                metric, comparison.margin, reach, VERDICTS[metric.verdict].tone
            ),
            wins=comparison_charts.wins_ties_losses(metric.wins, metric.ties, metric.losses),
        )
        for metric in comparison.metrics
    ]
    metric_rows.sort(key=lambda row: row.verdict.place)
    return metric_rows, comparison_charts.axis(reach)


def most_telling(comparison: ComparisonBody) -> MetricComparison:
    """The metric whose pairs are shown first: a metric with a difference is preferred."""
    order = ("worse", "better", "cannot tell", "equivalent")
    return min(comparison.metrics, key=lambda one: order.index(one.verdict))


def _note(metric: MetricComparison, margin: float) -> str:
    if metric.verdict == "equivalent":
        return f"within ±{margin:g}"
    if metric.verdict == "cannot tell" and metric.further_pairs:
        return f"about {formats.plural(metric.further_pairs, 'more pair')} needed"
    return "" if metric.pairs else "no item has a score on both sides"


def lead(comparison: ComparisonBody) -> list[tuple[str, str]]:
    """The verdicts in one sentence, as parts with their classes."""
    by_verdict: dict[str, list[MetricComparison]] = {}
    for one in comparison.metrics:
        by_verdict.setdefault(one.verdict, []).append(one)
    parts: list[tuple[str, str]] = []
    for verdict, tone in (("worse", "bad"), ("better", "ok")):
        if metrics := by_verdict.get(verdict):
            named = [f"{m.metric} ({formats.signed(m.difference, 3)})" for m in metrics]
            parts.append((tone, f"B is {verdict} at {_listed(named)}."))
    if metrics := by_verdict.get("equivalent"):
        parts.append(("", f"Equivalent at {_listed([m.metric for m in metrics])}."))
    if metrics := by_verdict.get("cannot tell"):
        names = _listed([m.metric for m in metrics])
        parts.append(("", f"For {names} these pairs cannot tell."))
    return parts


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def blame_rows(
    shifts: list[BlameShift], runs: tuple[UUID, UUID], metric: str, parameter: str
) -> list[BlameRow]:
    """The largest changes first. `parameter` selects the counted scores by the name of the row."""
    shown = shifts[:MAX_BLAMED]
    most = max((max(shift.baseline_rate, shift.candidate_rate) for shift in shown), default=0)
    return [
        BlameRow(
            shift,
            comparison_charts.two_bars(shift.baseline_rate, shift.candidate_rate, most),
            *(query(run=run, metric=metric, **{parameter: shift.name}) for run in runs),
        )
        for shift in shown
    ]
