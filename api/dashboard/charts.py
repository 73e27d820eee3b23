"""Charts as SVG, with percentages for x, so that they stretch without distortion.

Colors are classes of the stylesheet. Each chart has its figures in `aria-label`, or is hidden from
assistive technology because the page shows the figures next to the chart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape


def svg(height: float, label: str | None, parts: Sequence[str], classes: str = "ch") -> Markup:
    # A chart with links has the role `group`, because assistive technology cannot reach the parts
    # of an image.
    role = "group" if any("<a " in part for part in parts) else "img"
    named = (
        Markup('role="{}" aria-label="{}"').format(role, label)
        if label
        else Markup('aria-hidden="true"')
    )
    body = Markup("").join(Markup(part) for part in parts)
    return Markup('<svg class="{}" height="{:g}" {}>{}</svg>').format(classes, height, named, body)


def pct(value: float) -> str:
    return f"{100 * value:.2f}%"


def bar_part(part: tuple[float, float], height: float, kind: str, y: float = 0) -> str:
    start, width = part
    return (
        f'<rect class="b {kind}" x="{pct(start)}" width="{pct(max(0.0, width))}" '
        f'y="{y:g}" height="{height:g}"/>'
    )


def text_at(x: str, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def interval(
    mean: float, bounds: tuple[float, float] | None, threshold: float | None, tone: str = ""
) -> Markup:
    """A mean in [0, 1] and its interval, on an axis with the threshold."""
    low, high = bounds or (mean, mean)
    described = f", 95 % interval {low:.3f} to {high:.3f}" if bounds else ""
    parts = [
        '<line class="ax" x1="0" x2="100%" y1="9" y2="9"/>',
        '<line class="ax" x1="0" x2="0" y1="6" y2="12"/>',
        '<line class="ax" x1="100%" x2="100%" y1="6" y2="12"/>',
    ]
    if threshold is not None:
        described += f", threshold {threshold:.2f}"
        at = pct(threshold)
        parts.append(f'<line class="thr" x1="{at}" x2="{at}" y1="1" y2="17"/>')
    parts += [
        f'<line class="ci {tone}" x1="{pct(low)}" x2="{pct(high)}" y1="9" y2="9"/>',
        f'<circle class="pt {tone}" cx="{pct(mean)}" cy="9" r="3.5"/>',
    ]
    return svg(18, f"mean {mean:.3f}{described}" if bounds else f"{mean:.2f}{described}", parts)


def histogram(
    counts: Sequence[int], threshold: float, name: str, base: str | None = None, height: int = 30
) -> Markup:
    """Counts in buckets of equal width over [0, 1]; each bar links to `base` with from and to."""
    most = max(counts, default=0) or 1
    size = 1 / max(1, len(counts))
    plot = height - 1
    parts: list[str] = []
    for place, count in enumerate(counts):
        low, high = place * size, (place + 1) * size
        tall = max(1.5, plot * count / most) if count else 0
        kind = "lo" if high <= threshold + 1e-9 else ""
        bar = (
            f'<rect class="b {kind}" x="{pct(low + 0.07 * size)}" width="{pct(0.86 * size)}" '
            f'y="{plot - tall:.1f}" height="{tall:.1f}"/>'
        )
        if count and base:
            link = escape(f"{base}&from={low:g}&to={high:g}")
            bar = f'<a href="{link}"><title>{low:.2f} to {high:.2f}: {count:,}</title>{bar}</a>'
        parts.append(bar)
    parts.append(f'<line class="ax" x1="0" x2="100%" y1="{plot}.5" y2="{plot}.5"/>')
    at = pct(threshold)
    parts.append(f'<line class="thr" x1="{at}" x2="{at}" y1="0" y2="{height}"/>')
    below = sum(counts[: round(threshold / size)])
    label = (
        f"{name}: {sum(counts):,} scores in {len(counts)} buckets, {below:,} below {threshold:.2f}"
    )
    return svg(height, label, parts)


@dataclass(frozen=True, slots=True)
class BarPart:
    """One part of a progress bar. `kind`: full, mid, bad, warn, hatch, base."""

    count: float
    kind: str = "full"


def progress(
    parts: Sequence[BarPart],
    total: float,
    label: str,
    height: int = 8,
    mark: float | None = None,
) -> Markup:
    """`mark`: a count at which a line crosses the bar; at the end of the bar if it exceeds the
    total.
    """
    drawn = [f'<rect class="trk" width="100%" height="{height}" rx="1"/>']
    at = 0.0
    for part in parts:
        width = part.count / total if total else 0
        drawn.append(bar_part((at, width), height, part.kind))
        at += width
    if mark is not None and total:
        place = pct(min(1.0, mark / total))
        drawn.append(f'<line class="now" x1="{place}" x2="{place}" y1="0" y2="{height}"/>')
    return svg(height, label, drawn)


def bar(share: float, kind: str = "full", height: int = 10) -> Markup:
    """Hidden from assistive technology, because the page shows the figure next to the bar."""
    return svg(height, None, [bar_part((0, min(1.0, share)), height, kind)])


def step_bar(start: float, width: float, kind: str) -> Markup:
    """A step on the clock of its trace; both values are in [0, 1]."""
    left = min(0.996, max(0.0, start))
    return svg(10, None, [bar_part((left, min(1 - left, max(0.004, width))), 8, kind, 1)], "ch w")


@dataclass(frozen=True, slots=True)
class Point:
    """`low` and `high` bound the band around `value`."""

    label: str
    value: float
    low: float
    high: float


def trend(points: Sequence[Point], low: float, high: float, height: int = 70) -> Markup:
    """A line with a band; `low` and `high` bound the scale."""
    span = (high - low) or 1

    def x(place: int) -> float:
        return 100 * (place + 0.5) / len(points)

    def y(value: float) -> float:
        return 100 * (1 - (min(high, max(low, value)) - low) / span)

    upper = [f"{x(n):.2f},{y(p.high):.2f}" for n, p in enumerate(points)]
    lower = [f"{x(n):.2f},{y(p.low):.2f}" for n, p in reversed(list(enumerate(points)))]
    line = [f"{x(n):.2f},{y(p.value):.2f}" for n, p in enumerate(points)]
    last = points[-1]
    parts = [
        f'<line class="gr" x1="0" x2="100%" y1="{height}" y2="{height}"/>',
        f'<text x="0" y="{height - 3}">{low:g}</text>',
        '<line class="gr" x1="0" x2="100%" y1="0.5" y2="0.5"/>',
        f'<text x="0" y="11">{high:g}</text>',
        f'<svg width="100%" height="{height}" viewBox="0 0 100 100" preserveAspectRatio="none" '
        f'overflow="visible"><polygon class="band" points="{" ".join(upper + lower)}"/>'
        f'<polyline class="ln" points="{" ".join(line)}"/></svg>',
        f'<circle class="pt" cx="{x(len(points) - 1):.2f}%" r="3" '
        f'cy="{height * y(last.value) / 100:.1f}"/>',
        f'<text x="0" y="{height + 15}">{escape(points[0].label)}</text>',
        f'<text x="100%" y="{height + 15}" text-anchor="end">{escape(last.label)}</text>',
    ]
    said = "; ".join(f"{escape(p.label)}: {p.value:.2f}" for p in points)
    return svg(height + 18, f"trend of {len(points)} points: {said}", parts)


@dataclass(frozen=True, slots=True)
class Whisker:
    """One run in a history: `x` in [0, 1]."""

    x: float
    mean: float
    low: float
    high: float
    title: str
    link: str
    tone: str = ""


def history(points: Sequence[Whisker], low: float, dates: Sequence[tuple[float, str]]) -> Markup:
    """Means of runs over time with their intervals, on a scale from `low` to 1."""
    plot = 170

    def y(value: float) -> float:
        return plot * (1 - (min(1.0, max(low, value)) - low) / ((1 - low) or 1))

    parts = []
    for step in range(6):
        value = low + (1 - low) * step / 5
        parts.append(f'<line class="gr" x1="0" x2="100%" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="0" y="{max(11.0, y(value) - 3):.1f}">{value:.2f}</text>')
    for point in points:
        at = pct(0.04 + 0.94 * point.x)
        parts.append(
            f'<a href="{escape(point.link)}"><title>{escape(point.title)}</title>'
            f'<line class="ci {point.tone}" x1="{at}" x2="{at}" '
            f'y1="{y(point.high):.1f}" y2="{y(point.low):.1f}"/>'
            f'<circle class="pt {point.tone}" cx="{at}" cy="{y(point.mean):.1f}" r="4"/></a>'
        )
    for place, label in dates:
        anchor = "end" if place > 0.9 else "start"
        parts.append(
            f'<text x="{pct(0.04 + 0.94 * place)}" y="{plot + 16}" text-anchor="{anchor}">'
            f"{escape(label)}</text>"
        )
    return svg(plot + 22, f"means of {len(points)} runs", parts)


def columns(amounts: Sequence[tuple[str, float]], unit: str, height: int = 96) -> Markup:
    """One column per label with its amount above it."""
    most = max((amount for _, amount in amounts), default=0) or 1
    places = 2 if most >= 1 else 4
    width = 1 / max(1, len(amounts))
    parts = [f'<line class="ax" x1="0" x2="100%" y1="{height + 16}" y2="{height + 16}"/>']
    for place, (label, amount) in enumerate(amounts):
        tall = height * amount / most
        middle = pct((place + 0.5) * width)
        shown = f"{amount:,.{places}f}" if amount else "0"
        parts += [
            bar_part(((place + 0.2) * width, 0.6 * width), tall, "full", height + 16 - tall),
            text_at(middle, height + 12 - tall, shown, "middle"),
            text_at(middle, height + 31, label, "middle"),
        ]
    said = "; ".join(f"{label}: {unit}{amount:,.{places}f}" for label, amount in amounts)
    return svg(height + 36, said, parts)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A trace on a session's timeline; `start` and `width` in [0, 1]."""

    start: float
    width: float
    number: int
    label: str
    bad: bool


def timeline(stretches: Sequence[Stretch], gaps: Sequence[tuple[float, float, str]]) -> Markup:
    """Traces of a session in order; long waits are shortened and labelled with their length."""
    parts = ['<line class="ax" x1="0" x2="100%" y1="34" y2="34"/>']
    for stretch in stretches:
        kind = "bad" if stretch.bad else "full"
        parts.append(
            f'<a href="#t{stretch.number}"><rect class="b {kind}" x="{pct(stretch.start)}" '
            f'width="{pct(stretch.width)}" y="26" height="16" rx="1"/>'
            f'<text class="v" x="{pct(stretch.start)}" y="20">{stretch.number}</text></a>'
            f'<text x="{pct(stretch.start)}" y="58">{escape(stretch.label)}</text>'
        )
    for start, end, label in gaps:
        parts.append(
            text_at(pct((start + end) / 2), 29, label, "middle")
            + f'<line class="thr" x1="{pct(start)}" x2="{pct(end)}" y1="34" y2="34"/>'
        )
    return svg(64, f"{len(stretches)} traces on a time axis", parts)


def axis(seconds: float) -> Markup:
    """The clock above a waterfall."""
    parts = ['<text x="0" y="12">0 s</text>']
    step = _round_step(seconds / 4)
    at = step
    while step and at < 0.88 * seconds:
        parts.append(f'<text x="{pct(at / seconds)}" y="12" text-anchor="middle">{at:g}</text>')
        at += step
    if seconds > 0:
        parts.append(f'<text x="100%" y="12" text-anchor="end">{seconds:.3g} s</text>')
    return svg(16, None, parts, "ch w")


def _round_step(wanted: float) -> float:
    """The smallest number of the form 1, 2 or 5 times a power of ten that is not below the
    value.
    """
    if wanted <= 0:
        return 0
    power = 10.0 ** (len(str(int(wanted))) - 1) if wanted >= 1 else 10.0**-4
    while power * 10 < wanted:
        power *= 10
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted)
