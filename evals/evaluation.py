"""Runs one metric on one trace, and returns everything that a score records."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

from pydantic import BaseModel, JsonValue

from core.errors import JudgeError, JudgeFailed
from core.trace_model import Trace
from evals import questions, sent_questions
from evals.case import TraceCase
from evals.findings import Finding, joined, with_known_steps
from evals.judges.offline import BASELINE_NOTE, OFFLINE_MODEL
from evals.judges.protocol import Embedder, Judge, Usage
from evals.metric import (
    EmbeddingMetric,
    JudgedMetric,
    NotApplicable,
    Outcome,
    Scored,
    SessionMetric,
    TraceMetric,
)
from evals.questions import Group
from evals.signals import SessionCase
from evals.transcript.content import ContentState
from evals.transcript.transcript import Transcript

_PLACES = 4


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`metadata` is complete; it is stored with the score unchanged."""

    outcome: Outcome
    metadata: dict[str, JsonValue]
    usage: Usage

    def including(self, earlier: Usage) -> "Evaluation":
        """Adds the usage of earlier attempts at the same pair."""
        usage = earlier + self.usage
        judge = self.metadata.get("judge")
        if not isinstance(judge, dict):
            return replace(self, usage=usage)
        billed: dict[str, JsonValue] = {**self.metadata, "judge": {**judge, **_billed(usage)}}
        return replace(self, usage=usage, metadata=billed)


@dataclass(slots=True)
class Asking:
    """The usage of one metric's questions about one trace.

    `usage`: the calls for this metric alone, and its shares of calls for several metrics.
    `asked_with`: the metrics that were planned together. `prompts`: the hashes of the sent prompts,
    so that they can be written again later.
    """

    usage: Usage = field(default_factory=Usage)
    asked: bool = False
    shared_by: int = 1
    unknown_steps: int = 0
    answer_tokens: int = 0
    asked_with: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)


async def evaluate(  # noqa: PLR0913 metric, trace, judge and context are separate values
    metric: TraceMetric,
    trace: Trace | Transcript,
    judge: Judge,
    embedder: Embedder,
    earlier: Sequence[Trace] = (),
    together: Sequence[JudgedMetric[Any]] = (),
) -> Evaluation:
    """Raises JudgeError.

    `earlier`: up to `metric.window` traces before this one in its session. `together`: if several
    metrics share one call, all judged metrics of this trace, including this one.
    """
    transcript = trace if isinstance(trace, Transcript) else Transcript(trace)
    if isinstance(metric, EmbeddingMetric):
        outcome = await metric.evaluate(TraceCase(transcript.trace, embedder, earlier))
        return _measured(metric, outcome, embedder.model)
    if not isinstance(metric, JudgedMetric):
        raise TypeError(f"{metric.name} is neither judged nor measured from embeddings.")
    asking = Asking()
    try:
        outcome = _settled(await _judged(metric, transcript, judge, together, asking), metric.name)
    except JudgeError as error:
        # The question may be asked again; its calls without an answer then count as repairs.
        final = isinstance(error, JudgeFailed)
        spent = error.spent if final else error.spent.as_repairs()
        raise error.having_spent(spent, asking.usage + error.answered) from None
    if asking.asked and judge.model == OFFLINE_MODEL:
        outcome = _marked_as_baseline(outcome)
    metadata = _verdict(outcome, metric)
    if outcome.findings or isinstance(outcome, Scored):
        metadata["findings"] = _stored(outcome.findings, transcript)
        metadata["unknown_steps"] = asking.unknown_steps
    metadata["judge"] = _judge(judge, asking)
    if asking.asked and transcript.prompt(judge.input_tokens).truncated:
        metadata["truncated"] = True
    if transcript.content.state is ContentState.PARTIAL or transcript.facts.unfinished:
        metadata["partial"] = True
    return Evaluation(outcome, metadata, asking.usage)


def evaluate_session(metric: SessionMetric, session: SessionCase) -> Evaluation:
    """Computes a session score. Makes no judge calls and cannot fail."""
    outcome = _settled(metric.evaluate(session), metric.name)
    return Evaluation(outcome, _verdict(outcome, metric), Usage())


def measurable(metric: JudgedMetric[Any], transcript: Transcript) -> NotApplicable | None:
    """The reason why the trace cannot be judged by this metric; None if it can."""
    if not transcript.has_content:
        return NotApplicable(f"The trace carries no content. {transcript.content.remedy}".strip())
    if metric.inapplicable is None:
        return None
    reason = metric.inapplicable(transcript.facts)
    return None if reason is None else NotApplicable(reason)


async def _judged(
    metric: JudgedMetric[Any],
    transcript: Transcript,
    judge: Judge,
    together: Sequence[JudgedMetric[Any]],
    asking: Asking,
) -> Outcome:
    unmeasurable = measurable(metric, transcript)
    if unmeasurable is not None:
        return unmeasurable
    wanted = [one for one in together if measurable(one, transcript) is None] or [metric]
    if judge.model == OFFLINE_MODEL:
        # A rule costs nothing, so its calls are not shared.
        wanted = [metric]
    asking.asked_with = [one.name for one in wanted]
    asking.answer_tokens = judge.answer_tokens
    groups = questions.plan(wanted, transcript.facts, asking.answer_tokens)
    parts = [
        (group, place)
        for group in groups
        for place, part in enumerate(group)
        if part.metric is metric
    ]
    if len(parts) > questions.MAX_QUESTIONS and judge.model != OFFLINE_MODEL:
        raise JudgeFailed(
            f"Judging {metric.name} of this trace takes {len(parts)} questions; at most "
            f"{questions.MAX_QUESTIONS} are asked. Split the work into several traces.",
            provider="assay",
        )
    answers = [await _answer(group, place, transcript, judge, asking) for group, place in parts]
    answer, asking.unknown_steps = with_known_steps(joined(answers), transcript)
    outcome: Outcome = metric.score(answer, transcript.facts)
    return outcome


async def _answer(
    group: Group, place: int, transcript: Transcript, judge: Judge, asking: Asking
) -> BaseModel:
    """The answer to this part.

    Asks about the part alone if its shared answer does not validate.
    """
    part = group[place]
    asking.asked = True
    if len(group) > 1:
        shared = questions.question(group, transcript, judge.input_tokens)
        asking.prompts.append(sent_questions.digest(shared))
        judgement = await judge.ask(replace(shared, place=place))
        asking.usage += judgement.usage
        asking.shared_by = max(asking.shared_by, len(group))
        found = questions.part_of(part, judgement.answer, transcript)
        if found is not None:
            return questions.within(part, found)
    alone = questions.question((part,), transcript, judge.input_tokens)
    if judge.model != OFFLINE_MODEL:
        asking.prompts.append(sent_questions.digest(alone))
    judgement = await judge.ask(alone)
    asking.usage += judgement.usage.as_repairs() if len(group) > 1 else judgement.usage
    answer: BaseModel = judgement.answer
    return questions.within(part, answer)


def _measured(metric: EmbeddingMetric, outcome: Outcome, model: str) -> Evaluation:
    metadata = _verdict(_settled(outcome, metric.name), metric)
    metadata["embedding_model"] = model
    return Evaluation(_settled(outcome, metric.name), metadata, Usage())


def _settled(outcome: Outcome, metric: str) -> Outcome:
    if isinstance(outcome, NotApplicable):
        return outcome
    if not isfinite(outcome.value):
        raise JudgeFailed(f"{metric} came to a score that is not a number.", provider="assay")
    return replace(outcome, value=round(min(1.0, max(0.0, outcome.value)), _PLACES))


def _marked_as_baseline(outcome: Outcome) -> Outcome:
    return replace(outcome, reason=f"{outcome.reason} {BASELINE_NOTE}")


def _verdict(outcome: Outcome, metric: TraceMetric | SessionMetric) -> dict[str, JsonValue]:
    metadata: dict[str, JsonValue] = dict(outcome.details)
    metadata["threshold"] = metric.threshold
    if isinstance(outcome, NotApplicable):
        metadata["applicable"] = False
    else:
        metadata["formula"] = metric.formula
        metadata["success"] = outcome.value >= metric.threshold
    metadata["metric_version"] = metric.version
    return metadata


def _stored(findings: Sequence[Finding], transcript: Transcript) -> list[JsonValue]:
    return [
        {
            "kind": finding.kind,
            "text": finding.text,
            "verdict": finding.verdict,
            "steps": [*finding.steps],
            "span_ids": _span_ids(finding.steps, transcript),
            "points": round(finding.points, _PLACES),
            **finding.details,
        }
        for finding in findings
    ]


def _span_ids(steps: Sequence[int], transcript: Transcript) -> list[JsonValue]:
    """The spans of the steps, without duplicates.

    Some steps, such as the trace's input, have no span.
    """
    found = [step.span_id for number in steps if (step := transcript.step(number)) is not None]
    return [*dict.fromkeys(str(span_id) for span_id in found if span_id is not None)]


def _judge(judge: Judge, asking: Asking) -> dict[str, JsonValue]:
    """`input_tokens`: the token budget of the trace's rendering for this judge.

    From these values, `answer_tokens`, `asked_with` and `prompts`, `sent_questions` writes the sent
    prompts again.
    """
    record: dict[str, JsonValue] = {"model": judge.model, **_billed(asking.usage)}
    if asking.asked:
        record["input_tokens"] = judge.input_tokens
    if asking.prompts:
        record["answer_tokens"] = asking.answer_tokens
        record["asked_with"] = [*asking.asked_with]
        record["prompts"] = [*asking.prompts]
    if asking.shared_by > 1:
        record["metrics_in_call"] = asking.shared_by
    return record


def _billed(usage: Usage) -> dict[str, JsonValue]:
    return {
        "calls": usage.calls,
        "cached_calls": usage.cached_calls,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost_usd": usage.cost_usd,
        "latency_ms": usage.latency_ms,
        "repair_calls": usage.repair_calls,
        "repair_cost_usd": usage.repair_cost_usd,
    }
