"""Chooses the judge of a run and checks that it can judge the metrics."""

from collections.abc import Sequence

from api.dependencies import AppState
from core.db.database import Reader
from core.errors import Invalid
from core.ids import TargetType
from core.model_names import is_listed
from core.queries import workers
from core.queries.workers import Offer
from evals import catalog
from evals.judges.offline import OFFLINE_MODEL
from evals.metric import TraceMetric
from evals.signals import SIGNAL_WEIGHTS


async def default_model(stack: AppState, db: Reader) -> str:
    """The default model of the workers; without workers that of the settings, else the offline
    rules.
    """
    return _default_of(stack, await workers.offered(db))


def _default_of(stack: AppState, offer: Offer) -> str:
    return offer.default_model or stack.settings.judge_model or OFFLINE_MODEL


async def chosen(
    stack: AppState, db: Reader, target_type: TargetType, wanted: tuple[str | None, Sequence[str]]
) -> str:
    """The model for a run with this requested model and these metrics. Raises like `check`."""
    named, metric_names = wanted
    offer = await workers.offered(db)
    model = named or _default_of(stack, offer)
    _check(stack, offer, target_type, (model, metric_names))
    return model


async def check(
    stack: AppState, db: Reader, target_type: TargetType, wanted: tuple[str, Sequence[str]]
) -> None:
    """Raises Invalid for an unknown metric, a model that no worker can use, or a metric that the
    model cannot judge.
    """
    _check(stack, await workers.offered(db), target_type, wanted)


def _check(
    stack: AppState, offer: Offer, target_type: TargetType, wanted: tuple[str, Sequence[str]]
) -> None:
    model, metric_names = wanted
    asked = _asked_metrics(target_type, metric_names)
    _check_listed(stack, offer, model)
    check_offered(offer, model)
    if model == OFFLINE_MODEL:
        for metric in asked:
            if not metric.offline:
                raise Invalid(f"{OFFLINE_MODEL} has no rules for {metric.name}; name a model.")


def _check_listed(stack: AppState, offer: Offer, model: str) -> None:
    """Raises Invalid for a model that ASSAY_JUDGE_MODELS does not list."""
    if model == OFFLINE_MODEL or is_listed(model, stack.settings.judge_models):
        return
    if model != _default_of(stack, offer):
        raise Invalid(f"Model {model!r} is not among those that ASSAY_JUDGE_MODELS allows.")


def check_offered(offer: Offer, model: str) -> None:
    """Raises Invalid if no recently seen worker can judge with this model.

    Without workers every model passes; a worker that starts later checks the model.
    """
    if not offer.seen:
        return
    provider = offer.provider_of(model)
    if provider is None:
        raise Invalid(
            f"Model {model!r} belongs to no known provider. Write provider/model with one of: "
            f"{', '.join(row.key for row in offer.providers)}."
        )
    if not provider.available:
        raise Invalid(f"Model {model!r} cannot be used: {provider.message}")


def _asked_metrics(target_type: TargetType, metric_names: Sequence[str]) -> list[TraceMetric]:
    """The metrics that a judge is asked about; for session metrics, their signals."""
    if target_type is TargetType.TRACE:
        return [catalog.trace_metric(name) for name in metric_names]
    for name in metric_names:
        catalog.session_metric(name)
    return [catalog.signal_metric(name) for name in SIGNAL_WEIGHTS]
