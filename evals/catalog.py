"""Every metric there is: whatever module stands in `evals.trace` and `evals.session`."""

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import TypedDict, TypeVar

import evals.session
import evals.trace
from core.errors import Invalid
from evals import example
from evals.metric import SessionMetric, TraceMetric

M = TypeVar("M", TraceMetric, SessionMetric)


class PromptPreview(TypedDict):
    stage: str
    prompt: str


def discovered(path: Iterable[str], package: str, kind: type[M]) -> dict[str, M]:
    metrics: dict[str, M] = {}
    for module in pkgutil.iter_modules(path):
        metric = getattr(import_module(f"{package}.{module.name}"), "METRIC", None)
        if not isinstance(metric, kind):
            raise TypeError(f"{package}.{module.name} defines no METRIC of type {kind.__name__}.")
        if metric.name in metrics:
            raise TypeError(f"Two metrics of {package} are named {metric.name!r}.")
        metrics[metric.name] = metric
    return dict(sorted(metrics.items()))


_TRACE = discovered(evals.trace.__path__, "evals.trace", TraceMetric)
_SESSION = discovered(evals.session.__path__, "evals.session", SessionMetric)


def trace_metrics() -> list[TraceMetric]:
    """Those a trace run may name, sorted by name."""
    return [metric for metric in _TRACE.values() if metric.listed]


def signal_metrics() -> list[TraceMetric]:
    """Every metric of a single trace, also those that only session runs use."""
    return list(_TRACE.values())


def session_metrics() -> list[SessionMetric]:
    return list(_SESSION.values())


def trace_metric(name: str) -> TraceMetric:
    """Raises Invalid for a name that a trace run may not use."""
    metric = _TRACE.get(name)
    if metric is None or not metric.listed:
        raise _unknown("trace", name, trace_metrics())
    return metric


def signal_metric(name: str) -> TraceMetric:
    """Like `trace_metric`, for session runs: `loop_detection` is one of theirs."""
    metric = _TRACE.get(name)
    if metric is None:
        raise _unknown("trace", name, signal_metrics())
    return metric


def session_metric(name: str) -> SessionMetric:
    metric = _SESSION.get(name)
    if metric is None:
        raise _unknown("session", name, session_metrics())
    return metric


def _unknown(
    kind: str, name: str, known: Iterable[TraceMetric] | Iterable[SessionMetric]
) -> Invalid:
    names = ", ".join(metric.name for metric in known)
    return Invalid(f"There is no {kind} metric {name!r}. Known ones: {names}.")


def preview(metric: TraceMetric) -> list[PromptPreview]:
    """Each stage's real prompt about the metric's own example, in the order they are asked."""
    _, questions = example.run(metric)
    return [PromptPreview(stage=one.stage, prompt=f"{one.trace}\n{one.text}") for one in questions]
