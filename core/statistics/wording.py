"""Describes a comparison in one sentence, for the terminal, Markdown and the dashboard."""

from core.statistics.comparison import MetricDifference, Verdict


def summary(metric: str, comparison: MetricDifference | None, margin: float) -> str:
    if comparison is None:
        return f"{metric}: cannot tell; no item has a score on both sides."
    difference = f"{comparison.difference:+.3f}".replace("-", "−")
    items = f"{comparison.pairs:,} {'item' if comparison.pairs == 1 else 'items'}"
    interval = ""
    if comparison.interval is not None:
        low, high = (f"{one:.3f}".replace("-", "−") for one in _ends(comparison))
        interval = f" ({low} to {high})"
    match comparison.verdict:
        case Verdict.BETTER | Verdict.WORSE:
            return f"{metric}: {comparison.verdict} by {difference}{interval} over {items}."
        case Verdict.EQUIVALENT:
            return (
                f"{metric}: equivalent; the difference {difference}{interval} over {items} lies "
                f"within ±{margin:g}."
            )
        case _:
            seen = f"{metric}: cannot tell over {items}; seen {difference}{interval}."
            return seen + _need(comparison)


def _ends(comparison: MetricDifference) -> tuple[float, float]:
    assert comparison.interval is not None
    return comparison.interval.low, comparison.interval.high


def _need(comparison: MetricDifference) -> str:
    if comparison.further_pairs is None:
        return ""
    pairs = "pair" if comparison.further_pairs == 1 else "pairs"
    return f" A difference of this size needs {comparison.further_pairs:,} further {pairs}."
