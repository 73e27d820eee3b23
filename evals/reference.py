"""The metric reference, written from the catalog: `make metrics` renews docs/metrics.md."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from evals import catalog, example
from evals.metric import SessionMetric, Stage, TraceMetric
from evals.signals import SIGNAL_WEIGHTS

_HEAD = """\
# Metrics

Written by `make metrics` from the metrics themselves; edit those, not this page.

Every score lies between 0 and 1, 1 is best, and carries a reason. A trace in which there is nothing
to measure gets no number: its score is null, `metadata.applicable` is false, and averages leave it
out. Metadata always holds `metric_version` (it changes whenever a prompt, an answer's schema or the
formula does), and for a number `threshold` (0.5 unless a metric says otherwise) and `success`
(score at or above it). Judged metrics add `judge`: model, calls, cached calls, tokens, latency, and
cost, null where a price is unknown.

A stage is one question to the judge, answered in the order of the fields named below. Its answer is
kept: the same question about an unchanged trace, asked by another metric, a retry, a later run or
another worker, is no second call. A run with `fresh: true` asks again.

A trace that does not fit the judge's window is shortened, the middle of the longest outputs first,
and `metadata.truncated` is true. The first request, the last answer, every error and the name of
every tool stay.

Offline rules are what `offline/rules` answers in place of a model: a deterministic baseline that
looks at the structure of a trace and reads no meaning in it.
"""


def text() -> str:
    shared = _shared_stages()
    lines = [_HEAD, *_index(), "", *_beginning(), *_shared(shared)]
    lines.append("## Trace metrics\n")
    for metric in catalog.signal_metrics():
        lines += _trace_metric(metric, shared)
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


def _shared_stages() -> list[Stage[Any]]:
    """Those of more than one metric."""
    users = Counter(stage for metric in catalog.signal_metrics() for stage in metric.stages)
    return sorted(
        (stage for stage, count in users.items() if count > 1), key=lambda stage: stage.name
    )


def _trace_metric(metric: TraceMetric, shared: list[Stage[Any]]) -> Iterator[str]:
    yield f"### {metric.name}\n"
    yield f"{metric.about}\n"
    if not metric.listed:
        yield "A signal of session runs only: it needs the traces before it in the session.\n"
    yield from _facts(metric.formula, metric.outputs)
    for stage in metric.stages:
        if stage in shared:
            yield f"- Stage `{stage.name}` is [shared](#stages-that-metrics-share)."
        else:
            yield _rule(stage)
    yield ""
    elsewhere = {stage.name for stage in shared}
    _, questions = example.run(metric)
    for question in questions:
        if question.stage not in elsewhere:
            yield from _prompt(question.stage, question.text)


def _beginning() -> Iterator[str]:
    """Every prompt about one trace begins alike, so it is shown once."""
    _, questions = example.run(catalog.trace_metric("task_completion"))
    yield "## How every prompt begins\n"
    yield "With the trace, here the example of `task_completion`. The prompts of the stages, shown"
    yield "below for each metric's example, come after it.\n"
    yield f"````text\n{questions[0].trace.rstrip()}\n````\n"


def _shared(stages: list[Stage[Any]]) -> Iterator[str]:
    yield "## Stages that metrics share\n"
    yield "Asked once about a trace, however many of its metrics use the answer.\n"
    for stage in stages:
        yield _rule(stage)
    yield ""
    for stage in stages:
        yield from _prompt(stage.name, stage.prompt)


def _prompt(stage: str, text: str) -> Iterator[str]:
    yield f"<details><summary>Prompt of the stage <code>{stage}</code></summary>\n"
    yield f"````text\n{text.rstrip()}\n````\n"
    yield "</details>\n"


def _session_metric(metric: SessionMetric) -> Iterator[str]:
    yield f"### {metric.name}\n"
    yield f"{metric.about}\n"
    yield from _facts(metric.formula, metric.outputs)
    yield ""


def _facts(formula: str, outputs: Mapping[str, str]) -> Iterator[str]:
    yield f"- Score: {formula}"
    for name, meaning in outputs.items():
        yield f"- `{name}`: {meaning}"


def _rule(stage: Stage[Any]) -> str:
    fields = ", ".join(stage.answer.model_fields)
    rule = stage.rule_about.rstrip(".") or "none, so `offline/rules` cannot judge this metric"
    return f"- Stage `{stage.name}` answers {fields}. Offline rule: {rule}."


if __name__ == "__main__":
    sys.stdout.write(text())
