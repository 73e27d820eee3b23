"""Generates the metric reference from the catalog; `make metrics` writes it to docs/metrics.md."""

import sys
from collections.abc import Iterator

from evals import catalog
from evals.metric import JudgedMetric, SessionMetric, TraceMetric
from evals.questions import alone
from evals.signals import SIGNAL_WEIGHTS
from evals.transcript.transcript import Transcript
from evals.wording import HOW_TO_ANSWER

_HEAD = """\
# Metrics

`make metrics` generates this page from the metrics. Edit the metrics, not this page.

Every score lies between 0 and 1, where 1 is best, and has a reason. If a trace has nothing to
measure, its score is null, `metadata.applicable` is false, and averages omit it. A judged metric
on a trace without any text is such a case: no judge is called, and the reason names the tracer's
setting that records content.

Metadata always has `threshold` and `metric_version`. The version changes with every word that
reaches the judge, with the schema of the answer, and with the formula. A score with a number also
has `success` (whether it is at or above the threshold) and `formula`. A score of a trace has
`trace_updated_at`, the last change of the trace before it was judged.

## Judging by checklist

A judged metric asks one question about each trace. The answer is a list of findings with verdicts
from closed lists; code computes the score from them by the formula of the metric.
`metadata.findings` has the findings: `kind`, `text`, `verdict`, `steps` (the numbers of the steps
that prove the finding, as the judge saw them), `span_ids` (the spans of these steps), and
`points`, which the finding adds to the score or subtracts from it. The verdict `cannot tell` does
not count. `unknown_steps` counts step numbers that do not exist; they are removed, and the judge
is asked again if an answer has no other number.

`judge` has model, calls, cached calls, tokens, latency and cost; the cost is null if a price is
unknown. A run with several judged metrics asks them in one call for each trace, in a fixed order;
`judge.metrics_in_call` is the number of metrics in the call. Tokens and cost are divided evenly
and the first metric gets the remainder, so that sums are exact. If a part of the answer does not
validate, the judge is asked about that part alone. With `"bundle": false`, a run or a monitor
uses one call per metric. `judge.prompts` has a hash of each prompt that was sent. With these
hashes the dashboard shows what the judge read, and whether the text would be the same today.

Answers are stored: a retry, a later run or another worker that asks the same question about an
unchanged trace makes no second call. A run with `fresh: true` asks the judge again.

A trace that does not fit the judge's window is shortened, the middle of the longest outputs
first, and `metadata.truncated` is true. The first request, the last answer, every error and the
name of every tool stay. `metadata.partial` is true for a trace that is unfinished or lacks some
of its text.

Offline rules give the answers of `offline/rules`: a deterministic baseline that uses only the
structure of a trace, not its meaning.
"""

_RISK = """\
Session metrics are computed from signals of the session's traces, with these weights unless a run
sets others: {weights}. The risk of a signal is 0 at or above its reference and grows to 1 at
signal 0. The reference of coherence is the similarity of unrelated inputs and outputs; the
reference of another signal is the threshold of its metric. Signals that are missing or not
applicable are omitted.
"""


def text() -> str:
    lines = [_HEAD, *_index(), "", *_beginning()]
    lines.append("## Trace metrics\n")
    for metric in catalog.signal_metrics():
        lines += _trace_metric(metric)
    lines.append("## Session metrics\n")
    weights = ", ".join(f"{name} {weight:g}" for name, weight in SIGNAL_WEIGHTS.items())
    lines.append(_RISK.format(weights=weights))
    for session_metric in catalog.session_metrics():
        lines += _session_metric(session_metric)
    return "\n".join(lines).rstrip() + "\n"


def _index() -> Iterator[str]:
    yield "| metric | question | judged by | threshold |"
    yield "|---|---|---|---|"
    for metric in catalog.signal_metrics():
        by = "a model" if metric.judged else "embeddings"
        yield f"| [{metric.name}](#{metric.name}) | {metric.about} | {by} | {metric.threshold:g} |"
    for session_metric in catalog.session_metrics():
        link = f"[{session_metric.name}](#{session_metric.name})"
        yield f"| {link} | {session_metric.about} | arithmetic | {session_metric.threshold:g} |"


def _beginning() -> Iterator[str]:
    """The common beginning of all prompts about one trace, which the page shows once."""
    metric = catalog.trace_metric("task_completion")
    assert isinstance(metric, JudgedMetric)
    (question,) = alone(metric, Transcript(metric.example.trace))
    yield "## How every prompt begins\n"
    yield "Every prompt begins with the trace, here the example of `task_completion`. The rules"
    yield "that all questions share and the counted facts follow. The question of the metric"
    yield "comes last.\n"
    yield f"````text\n{question.trace.rstrip()}\n\n{HOW_TO_ANSWER.rstrip()}\n````\n"


def _trace_metric(metric: TraceMetric) -> Iterator[str]:
    yield f"### {metric.name}\n"
    yield f"{metric.about}\n"
    if not metric.listed:
        yield "Only session runs use this signal, because it needs the session's earlier traces.\n"
    yield from _facts(metric)
    if isinstance(metric, JudgedMetric):
        rule = metric.rule_about.rstrip(".") or "none, so `offline/rules` cannot judge this metric"
        yield f"- Answer: {', '.join(f'`{name}`' for name in metric.answer.model_fields)}."
        yield f"- Offline rule: {rule}."
        yield "\n<details><summary>The question</summary>\n"
        yield f"````text\n{metric.question.rstrip()}\n````\n"
        yield "</details>"
    yield ""


def _session_metric(metric: SessionMetric) -> Iterator[str]:
    yield f"### {metric.name}\n"
    yield f"{metric.about}\n"
    yield from _facts(metric)
    yield ""


def _facts(metric: TraceMetric | SessionMetric) -> Iterator[str]:
    yield f"- Score: {metric.formula}."
    yield f"- Threshold {metric.threshold:g}: {metric.threshold_reason}."
    for name, meaning in metric.outputs.items():
        yield f"- `{name}`: {meaning}."


if __name__ == "__main__":
    sys.stdout.write(text())
