"""Charts of a comparison: differences on one axis around 0, and wins, ties and losses."""

from collections.abc import Iterable
from typing import Final

from markupsafe import Markup

from api.dashboard import formats
from api.dashboard.charts import bar_part, pct, svg, text_at
from api.schemas.comparisons import MetricComparison

_SCALES: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_MIDDLE: Final = 11
_GAP: Final = 0.003


def scale(metrics: Iterable[MetricComparison], margin: float) -> float:
    """The length of the common axis of differences on each side of 0."""
    ends = [0.0, 1.5 * margin]
    for one in metrics:
        ends += [abs(one.difference)]
        ends += [abs(one.interval.low), abs(one.interval.high)] if one.interval else []
    return next((size for size in _SCALES if size >= max(ends)), 1.0)


def axis(reach: float) -> Markup:
    """The axis above the column of differences."""
    low, high = (formats.signed(sign * reach) for sign in (-1, 1))
    parts = [
        text_at("0", 11, low),
        text_at("50%", 11, "0", "middle"),
        text_at("100%", 11, high, "end"),
    ]
    return svg(14, None, parts)


def difference(metric: MetricComparison, margin: float, reach: float, tone: str) -> Markup:
    """A difference with its interval, and the zone of the margin."""

    def place(value: float) -> float:
        return min(1.0, max(0.0, 0.5 + value / (2 * reach)))

    zone = place(-margin), place(margin) - place(-margin)
    described = f"difference {formats.signed(metric.difference, 3)}"
    parts = [
        f'<rect class="zone" x="{pct(zone[0])}" width="{pct(zone[1])}" y="0" height="22"/>',
        '<line class="ax" x1="50%" x2="50%" y1="0" y2="22"/>',
    ]
    if metric.interval is not None:
        low, high = metric.interval.low, metric.interval.high
        described += f", interval {formats.signed(low, 3)} to {formats.signed(high, 3)}"
        ends = [pct(place(low)), pct(place(high))]
        parts.append(_whisker(ends, (_MIDDLE, _MIDDLE), tone))
        parts += [_whisker([end, end], (_MIDDLE - 4, _MIDDLE + 4), tone) for end in ends]
    at = pct(place(metric.difference))
    parts.append(f'<circle class="pt {tone}" cx="{at}" cy="{_MIDDLE}" r="4"/>')
    return svg(22, described, parts)


def _whisker(ends: list[str], heights: tuple[int, int], tone: str) -> str:
    return (
        f'<line class="ci {tone}" x1="{ends[0]}" x2="{ends[1]}" '
        f'y1="{heights[0]}" y2="{heights[1]}"/>'
    )


def wins_ties_losses(wins: int, ties: int, losses: int) -> Markup:
    """One bar with three parts; the page shows the counts below it."""
    total = wins + ties + losses
    at, parts = 0.0, []
    for count, kind in ((wins, "ok"), (ties, "base"), (losses, "bad")):
        width = count / total if total else 0
        if count:
            parts.append(bar_part((at, width - _GAP), 10, kind))
        at += width
    return svg(10, f"{wins:,} wins, {ties:,} ties, {losses:,} losses", parts)


def two_bars(baseline: float, candidate: float, most: float) -> Markup:
    """Two rates as bars; the page shows the figures next to them."""
    longest = most or 1
    parts = [
        bar_part((0, baseline / longest), 6, "base2", 1),
        bar_part((0, candidate / longest), 6, "full", 9),
    ]
    return svg(16, None, parts)
