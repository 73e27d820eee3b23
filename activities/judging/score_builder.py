"""Builds the score to store from the outcome of a pair."""

from dataclasses import dataclass, replace

from activities.judging.pair import Pair
from core.ids import ScoreStatus
from core.queries.run_pairs import NewScore
from core.telemetry.measures import PAIRS_FAILED, PAIRS_JUDGED, FailureCause, bounded_model
from core.usage import Usage
from evals.evaluation import Evaluation
from evals.metric import Scored


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


def success(pair: Pair, evaluation: Evaluation, environment: str | None) -> EndedPair:
    return EndedPair(successful_score(pair, evaluation, environment), pair.model)


def failure(pair: Pair, cause: FailureCause, reason: str, spent: Usage) -> EndedPair:
    return EndedPair(failed_score(pair, reason, spent), pair.model, cause)


def successful_score(pair: Pair, evaluation: Evaluation, environment: str | None) -> NewScore:
    outcome = evaluation.outcome
    return replace(
        _score(pair, ScoreStatus.SUCCESS, outcome.reason, evaluation.usage),
        number=outcome.value if isinstance(outcome, Scored) else None,
        environment=environment,
        metadata=dict(evaluation.metadata),
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
