"""Builds the score to store from the outcome of a pair."""

from dataclasses import dataclass, replace
from typing import Final

from activities.judging.pair import Pair
from core.ids import ScoreStatus
from core.queries.run_pairs import NewScore
from core.telemetry.measures import PAIRS_FAILED, PAIRS_JUDGED, FailureCause, bounded_model
from core.trace_model import Trace
from core.usage import Usage
from evals.evaluation import Evaluation
from evals.metric import Scored

TRACE_UPDATED_AT: Final = "trace_updated_at"
"""The entry of the metadata with the last change of the trace before it was judged."""


@dataclass(frozen=True, slots=True)
class EndedPair:
    """`cause`: the cause of a FAILED score."""

    score: NewScore
    model: str
    cause: FailureCause | None = None

    def count(self) -> None:
        model = bounded_model(self.model)
        if self.cause is None:
            PAIRS_JUDGED.labels(self.score.metric, model).inc()
        else:
            PAIRS_FAILED.labels(self.cause, model).inc()


def success(pair: Pair, evaluation: Evaluation, trace: Trace | None) -> EndedPair:
    return EndedPair(successful_score(pair, evaluation, trace), pair.model)


def failure(pair: Pair, cause: FailureCause, reason: str, spent: Usage) -> EndedPair:
    return EndedPair(failed_score(pair, reason, spent), pair.model, cause)


def successful_score(pair: Pair, evaluation: Evaluation, trace: Trace | None) -> NewScore:
    """`trace`: the judged trace; None for a session."""
    outcome = evaluation.outcome
    metadata = dict(evaluation.metadata)
    if trace is not None and trace.updated_at is not None:
        # The trace may change while it is judged.
        metadata[TRACE_UPDATED_AT] = trace.updated_at.isoformat()
    return replace(
        _score(pair, ScoreStatus.SUCCESS, outcome.reason, evaluation.usage),
        number=outcome.value if isinstance(outcome, Scored) else None,
        environment=None if trace is None else trace.environment,
        metadata=metadata,
    )


def failed_score(pair: Pair, reason: str, spent: Usage) -> NewScore:
    return _score(pair, ScoreStatus.FAILED, reason, spent)


def _score(pair: Pair, status: ScoreStatus, reason: str, usage: Usage) -> NewScore:
    return NewScore(
        run_id=pair.run.run_id,
        project_id=pair.run.project_id,
        target_type=pair.target_type,
        target_id=pair.target_id,
        metric=pair.metric,
        status=status,
        reason=reason,
        usage=usage,
        of_existing=True,
    )
