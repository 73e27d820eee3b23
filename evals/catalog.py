"""The catalog of metrics: one per module of `evals.trace` and `evals.session`."""

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import TypedDict, TypeVar

import evals.session
import evals.trace
from core.errors import Invalid
from evals import questions
from evals.metric import JudgedMetric, SessionMetric, TraceMetric
from evals.transcript.transcript import Transcript

M = TypeVar("M", TraceMetric, SessionMetric)


class StagePrompt(TypedDict):
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


_TRACE = discovered(evals.trace.__path__, "evals.trace", TraceMetric)  # type: ignore[type-abstract]  # for isinstance only
_SESSION = discovered(evals.session.__path__, "evals.session", SessionMetric)


def trace_metrics() -> list[TraceMetric]:
    """The metrics that a trace run may name, sorted by name."""
    return [metric for metric in _TRACE.values() if metric.listed]


def signal_metrics() -> list[TraceMetric]:
    """Every metric of a single trace, including those that only session runs use."""
    return list(_TRACE.values())


def session_metrics() -> list[SessionMetric]:
    return list(_SESSION.values())


def trace_metric(name: str) -> TraceMetric:
    """Raises Invalid for a metric that a trace run may not name."""
    metric = _TRACE.get(name)
    if metric is None or not metric.listed:
        raise _unknown("trace", name, trace_metrics())
    return metric


def signal_metric(name: str) -> TraceMetric:
    """Like `trace_metric`, but also finds `loop_detection`, which only session runs use."""
    metric = _TRACE.get(name)
    if metric is None:
        raise _unknown("trace", name, signal_metrics())
    return metric


def session_metric(name: str) -> SessionMetric:
    metric = _SESSION.get(name)
    if metric is None:
        raise _unknown("session", name, session_metrics())
    return metric


def thresholds() -> dict[str, float]:
    """The threshold of each metric, by name."""
    of_traces = {metric.name: metric.threshold for metric in _TRACE.values()}
    return of_traces | {metric.name: metric.threshold for metric in _SESSION.values()}


def _unknown(
    kind: str, name: str, known: Iterable[TraceMetric] | Iterable[SessionMetric]
) -> Invalid:
    names = ", ".join(metric.name for metric in known)
    return Invalid(f"There is no {kind} metric {name!r}. Known ones: {names}.")


def preview(metric: TraceMetric) -> list[StagePrompt]:
    """The prompt about the metric's own example; empty for a metric that asks no judge."""
    if not isinstance(metric, JudgedMetric):
        return []
    asked = questions.alone(metric, Transcript(metric.example.trace))
    return [StagePrompt(stage=one.stage, prompt=f"{one.trace}\n{one.text}") for one in asked]
