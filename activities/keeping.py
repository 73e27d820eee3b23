"""A pair's end as a score to be kept."""

from dataclasses import replace

from activities.inputs import Pair
from core.ids import ScoreStatus
from core.queries.pairs import NewScore
from core.usage import Usage
from evals.evaluation import Evaluation
from evals.metric import Scored


def success(pair: Pair, evaluation: Evaluation, environment: str | None) -> NewScore:
    outcome = evaluation.outcome
    return replace(
        _ended(pair, ScoreStatus.SUCCESS, outcome.reason, evaluation.usage),
        number=outcome.value if isinstance(outcome, Scored) else None,
        environment=environment,
        metadata=dict(evaluation.metadata),
    )


def failure(pair: Pair, reason: str, spent: Usage) -> NewScore:
    return _ended(pair, ScoreStatus.FAILED, reason, spent)


def _ended(pair: Pair, status: ScoreStatus, reason: str, usage: Usage) -> NewScore:
    return NewScore(
        run_id=pair.run.run_id,
        project_id=pair.run.project_id,
        target_type=pair.target_type,
        target_id=pair.target_id,
        metric=pair.metric,
        status=status,
        reason=reason,
        judge_calls=usage.calls,
        cached_calls=usage.cached_calls,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cost_usd=usage.cost_usd,
    )
