"""Which judge a run gets, and whether it can do what is asked."""

from collections.abc import Sequence

from api.dependencies import Stack
from core.database import Reader
from core.errors import Invalid
from core.ids import TargetType
from core.queries import workers
from evals import catalog
from evals.metric import TraceMetric
from evals.rules import OFFLINE_MODEL
from evals.signals import SIGNAL_WEIGHTS


async def default_model(stack: Stack, db: Reader) -> str:
    """What the workers say; with none seen, what the settings say, else the one without a key."""
    offer = await workers.offered(db)
    return offer.default_model or stack.settings.judge_model or OFFLINE_MODEL


async def chosen(
    stack: Stack, db: Reader, target_type: TargetType, wanted: tuple[str | None, Sequence[str]]
) -> str:
    """The model for a run, given what it named and its metrics. Raises as `check` does."""
    named, metric_names = wanted
    model = named or await default_model(stack, db)
    await check(db, target_type, model, metric_names)
    return model


async def check(
    db: Reader, target_type: TargetType, model: str, metric_names: Sequence[str]
) -> None:
    """Raises Invalid: an unknown metric, a model nobody can use, a metric it cannot judge."""
    asked = _asked(target_type, metric_names)
    await workers.check_model(db, model)
    if model == OFFLINE_MODEL:
        for metric in asked:
            if not metric.offline:
                raise Invalid(f"{OFFLINE_MODEL} has no rules for {metric.name}; name a model.")


def _asked(target_type: TargetType, metric_names: Sequence[str]) -> list[TraceMetric]:
    """The metrics that a judge is asked for: of sessions, those that are their signals."""
    if target_type is TargetType.TRACE:
        return [catalog.trace_metric(name) for name in metric_names]
    for name in metric_names:
        catalog.session_metric(name)
    return [catalog.signal_metric(name) for name in SIGNAL_WEIGHTS]
