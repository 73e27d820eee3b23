"""Runs one metric on one trace and says everything a score records about it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

from pydantic import JsonValue

from core.errors import JudgeError, JudgeFailed
from core.records import Trace
from evals.case import TraceCase
from evals.judge import Embedder, Judge, Usage
from evals.metric import NotApplicable, Outcome, Scored, SessionMetric, TraceMetric
from evals.reading import Reading
from evals.rules import BASELINE_NOTE, OFFLINE_MODEL
from evals.signals import SessionCase

_PLACES = 4


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`metadata` is complete: it is stored with the score as it is."""

    outcome: Outcome
    metadata: dict[str, JsonValue]
    usage: Usage

    def including(self, earlier: Usage) -> "Evaluation":
        """With what earlier attempts at the same paid."""
        usage = earlier + self.usage
        judge = self.metadata.get("judge")
        if not isinstance(judge, dict):
            return replace(self, usage=usage)
        billed: dict[str, JsonValue] = {
            **self.metadata,
            "judge": _judge(str(judge["model"]), usage),
        }
        return replace(self, usage=usage, metadata=billed)


async def evaluate(
    metric: TraceMetric,
    trace: Trace | Reading,
    judge: Judge,
    embedder: Embedder,
    earlier: Sequence[Trace] = (),
) -> Evaluation:
    """Raises JudgeError. `earlier`: up to `metric.window` traces before this one in its session."""
    reading = trace if isinstance(trace, Reading) else Reading(trace)
    case = TraceCase(reading, judge, embedder, earlier)
    try:
        outcome = _settled(await metric.evaluate(case), metric.name)
    except JudgeError as error:
        raise error.having_spent(case.usage + error.spent) from None
    if case.asked and judge.model == OFFLINE_MODEL:
        outcome = _marked_as_baseline(outcome)
    metadata = _verdict(outcome, metric.threshold, metric.version)
    if metric.judged:
        metadata["judge"] = _judge(judge.model, case.usage)
    else:
        metadata["embedding_model"] = embedder.model
    if case.asked and case.truncated:
        metadata["truncated"] = True
    return Evaluation(outcome, metadata, case.usage)


def evaluate_session(metric: SessionMetric, session: SessionCase) -> Evaluation:
    """Pure arithmetic: costs nothing and cannot fail."""
    outcome = _settled(metric.evaluate(session), metric.name)
    return Evaluation(outcome, _verdict(outcome, metric.threshold, metric.version), Usage())


def _settled(outcome: Outcome, metric: str) -> Outcome:
    if isinstance(outcome, NotApplicable):
        return outcome
    if not isfinite(outcome.value):
        raise JudgeFailed(f"{metric} came to a score that is not a number.", provider="assay")
    value = round(min(1.0, max(0.0, outcome.value)), _PLACES)
    return Scored(value, outcome.reason, outcome.details)


def _marked_as_baseline(outcome: Outcome) -> Outcome:
    reason = f"{outcome.reason} {BASELINE_NOTE}"
    if isinstance(outcome, NotApplicable):
        return NotApplicable(reason, outcome.details)
    return Scored(outcome.value, reason, outcome.details)


def _verdict(outcome: Outcome, threshold: float, version: str) -> dict[str, JsonValue]:
    metadata: dict[str, JsonValue] = dict(outcome.details)
    if isinstance(outcome, NotApplicable):
        metadata["applicable"] = False
    else:
        metadata["threshold"] = threshold
        metadata["success"] = outcome.value >= threshold
    metadata["metric_version"] = version
    return metadata


def _judge(model: str, usage: Usage) -> dict[str, JsonValue]:
    return {
        "model": model,
        "calls": usage.calls,
        "cached_calls": usage.cached_calls,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost_usd": usage.cost_usd,
        "latency_ms": usage.latency_ms,
    }
