"""The metric reference, written from the catalog: `python -m evals.reference > docs/metrics.md`."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from evals import catalog, example
from evals.metric import SessionMetric, Stage, TraceMetric
from evals.signals import SIGNAL_WEIGHTS

_HEAD = """\
# Metrics

Written by `python -m evals.reference` from the metrics themselves; edit those, not this page.

Every score lies between 0 and 1, 1 is best, and carries a reason. A trace in which there is nothing
to measure gets no number: its score is null, `metadata.applicable` is false, and averages leave it
out. Metadata always holds `metric_version` (it changes whenever a prompt, an answer's schema or the
formula does), and for a number `threshold` and `success`; judged metrics add `judge` (model, calls,
cached calls, tokens, cost, latency) and `truncated` where the trace did not fit the judge's window.
`task` and `plan` are asked once for all the metrics of a trace that use them.

Offline rules are what `offline/rules` answers in place of a model: a deterministic baseline that
looks at the structure of a trace and reads no meaning in it.
"""


def text() -> str:
    lines = [_HEAD, *_index(), "", *_beginning()]
    lines.append("## Trace metrics\n")
    for metric in catalog.signal_metrics():
        lines += _trace_metric(metric)
    lines.append("## Session metrics\n")
    lines.append(
        "Arithmetic over signals of the session's traces, with these weights unless a run gives "
        f"others: {', '.join(f'{name} {weight:g}' for name, weight in SIGNAL_WEIGHTS.items())}. "
        "The risk of a signal is 1 - its score. A signal that is missing or not applicable is left "
        "out.\n"
    )
    for session_metric in catalog.session_metrics():
        lines += _session_metric(session_metric)
    return "\n".join(lines).rstrip() + "\n"


def _index() -> Iterator[str]:
    yield "| metric | question | judged by |"
    yield "|---|---|---|"
    for metric in catalog.signal_metrics():
        by = "a model" if metric.judged else "embeddings"
        yield f"| [{metric.name}](#{metric.name}) | {metric.about} | {by} |"
    for session_metric in catalog.session_metrics():
        name = session_metric.name
        yield f"| [{name}](#{name}) | {session_metric.about} | arithmetic |"


def _trace_metric(metric: TraceMetric) -> Iterator[str]:
    yield f"### {metric.name}\n"
    yield f"{metric.about}\n"
    if not metric.listed:
        yield "A signal of session runs only: it needs the traces before it in the session.\n"
    yield from _facts(metric.formula, metric.outputs)
    for stage in metric.stages:
        yield from _rule(stage)
    yield ""
    _, questions = example.run(metric)
    for question in questions:
        yield f"<details><summary>Prompt of the stage <code>{question.stage}</code></summary>\n"
        yield f"````text\n{question.text.rstrip()}\n````\n"
        yield "</details>\n"


def _beginning() -> Iterator[str]:
    """Every prompt about one trace begins alike, so it is shown once."""
    _, questions = example.run(catalog.trace_metric("task_completion"))
    yield "## How every prompt begins\n"
    yield "With the trace, here the example of `task_completion`. The prompts of the stages, shown"
    yield "below for each metric's example, come after it.\n"
    yield f"````text\n{questions[0].trace.rstrip()}\n````\n"


def _session_metric(metric: SessionMetric) -> Iterator[str]:
    yield f"### {metric.name}\n"
    yield f"{metric.about}\n"
    yield from _facts(metric.formula, metric.outputs)
    yield ""


def _facts(formula: str, outputs: Mapping[str, str]) -> Iterator[str]:
    yield f"- Score: {formula}"
    for name, meaning in outputs.items():
        yield f"- `{name}`: {meaning}"


def _rule(stage: Stage[Any]) -> Iterator[str]:
    fields = ", ".join(stage.answer.model_fields)
    rule = stage.rule_about.rstrip(".") or "none, so `offline/rules` cannot judge this metric"
    yield f"- Stage `{stage.name}` answers {fields}. Offline rule: {rule}."


if __name__ == "__main__":
    sys.stdout.write(text())
