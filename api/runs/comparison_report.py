"""Writes a comparison as Markdown, for a pull request or a wiki."""

from typing import Final

from api.schemas.comparisons import ComparisonBody, MetricComparison
from core.ids import RunStatus

MAX_BLAMED: Final = 10
"""Maximum number of listed steps, and of listed kinds of findings, per metric."""

MARKS = {"better": "▲", "worse": "▼", "equivalent": "=", "cannot tell": "?"}


def markdown(comparison: ComparisonBody) -> str:
    if comparison.status is not RunStatus.COMPLETED:
        state = comparison.error_message or "The runs are being compared."
        return f"# Comparison\n\n{_text(state)}\n"
    lines = [
        "# Comparison",
        "",
        f"Baseline run `{comparison.baseline}`, candidate run `{comparison.candidate}`. "
        f"Paired by `{_code(comparison.pair_by)}`, margin ±{comparison.margin:g}, level "
        f"{comparison.alpha:g}.",
        "",
        "| metric | verdict | pairs | baseline | candidate | difference | interval | p | noise |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(metric) for metric in comparison.metrics),
        "",
        *(f"- {_text(metric.summary)}" for metric in comparison.metrics),
    ]
    for metric in comparison.metrics:
        lines += _worsened(metric) + _blamed(metric)
    if comparison.missing_metrics:
        names = ", ".join(f"`{_code(name)}`" for name in comparison.missing_metrics)
        lines += ["", f"Only one of the runs has {names}."]
    return "\n".join(lines) + "\n"


def _row(metric: MetricComparison) -> str:
    interval = metric.interval
    between = f"{interval.low:.3f} to {interval.high:.3f}" if interval else "–"
    return (
        f"| `{_code(metric.metric)}` | {MARKS[metric.verdict]} {metric.verdict} | {metric.pairs} | "
        f"{metric.baseline_mean:.3f} | {metric.candidate_mean:.3f} | {metric.difference:+.3f} | "
        f"{between} | {metric.p_value:.3g} | {_noise(metric)} |"
    )


def _noise(metric: MetricComparison) -> str:
    return "–" if metric.noise is None else f"±{metric.noise:.3f}"


def _worsened(metric: MetricComparison) -> list[str]:
    items = [item for item in metric.most_worsened if item.change == "pass to fail"][:10]
    if not items:
        return []
    return [
        "",
        f"## `{_code(metric.metric)}`: from pass to fail",
        "",
        "| item | baseline | candidate |",
        "|---|---|---|",
        *(f"| `{_code(i.key)}` | {i.baseline:.3f} | {i.candidate:.3f} |" for i in items),
    ]


def _blamed(metric: MetricComparison) -> list[str]:
    if metric.blame is None:
        return []
    moved = [*metric.blame.steps[:MAX_BLAMED], *metric.blame.kinds[:MAX_BLAMED]]
    rows = [
        f"| `{_code(one.name)}` | {one.baseline} ({one.baseline_rate:.1%}) | "
        f"{one.candidate} ({one.candidate_rate:.1%}) |"
        for one in moved
        if one.difference
    ]
    if not rows:
        return []
    heading = f"## `{_code(metric.metric)}`: blame moved to"
    return ["", heading, "", "| step or finding | baseline | candidate |", "|---|---|---|", *rows]


def _code(text: str) -> str:
    """Escapes a key, which comes from a trace, so that it cannot end the code span or the table
    cell.
    """
    return text.replace("`", "'").replace("|", "¦").replace("\n", " ")


def _text(text: str) -> str:
    return text.replace("|", "¦").replace("\n", " ").replace("<", "&lt;")
