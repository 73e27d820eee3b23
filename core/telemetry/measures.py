"""The counters and timers of a worker, for Prometheus.

A measure is a number about Assay; a metric is a question about a trace. Labels have few values:
never an id, and at most `MAX_MODELS` models.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from time import perf_counter
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from core.ids import RunStatus
from core.usage import Usage

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types

REGISTRY: Final = CollectorRegistry()
"""The measures of this process. A worker exposes them; other processes leave them at zero."""

MAX_MODELS: Final = 50
OTHER: Final = "other"

CALL_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)


class Answerer(StrEnum):
    """Where the answer to a question came from."""

    JUDGE = "judge"
    STORE = "store"
    CALL_IN_FLIGHT = "call in flight"


class CallOutcome(StrEnum):
    ANSWERED = "answered"
    RATE_LIMITED = "rate limited"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"
    CANCELED = "canceled"


class FailureCause(StrEnum):
    """Why a pair got no score."""

    UNUSABLE_ANSWER = "unusable answer"
    NO_ANSWER = "no answer in time"
    TOO_MANY_CALLS = "too many calls"
    REFUSED = "refused by the provider"
    WORKER_LOST = "worker lost"
    GIVEN_UP = "given up by Temporal"


_MODEL: Final = ("provider", "model")

PAIRS_JUDGED: Final = Counter(
    "assay_pairs_judged", "Pairs that got a score.", ("metric", "model"), registry=REGISTRY
)
PAIRS_FAILED: Final = Counter(
    "assay_pairs_failed", "Pairs that ended FAILED.", ("cause", "model"), registry=REGISTRY
)
RUNS_ENDED: Final = Counter(
    "assay_runs_ended", "Runs whose end this worker recorded.", ("status",), registry=REGISTRY
)
for _status in RunStatus:
    if _status.terminal:
        # Prometheus sees no increase in a counter whose first sample is 1, so no alert would fire.
        RUNS_ENDED.labels(_status)
QUESTIONS: Final = Counter(
    "assay_judge_questions",
    "Answered questions, by where the answer came from.",
    ("answered_by",),
    registry=REGISTRY,
)
CALLS: Final = Counter(
    "assay_judge_calls", "Calls to providers.", (*_MODEL, "outcome"), registry=REGISTRY
)
CALL_DURATION: Final = Histogram(
    "assay_judge_call_duration_seconds",
    "Time from sending a call to its outcome, without the wait for a permit.",
    _MODEL,
    buckets=CALL_SECONDS,
    registry=REGISTRY,
)
TOKENS: Final = Counter(
    "assay_judge_tokens", "Tokens that were billed.", (*_MODEL, "kind"), registry=REGISTRY
)
COST: Final = Counter(
    "assay_judge_cost_usd", "Cost of calls with a known price.", _MODEL, registry=REGISTRY
)
UNPRICED: Final = Counter(
    "assay_judge_calls_without_price", "Calls whose cost is unknown.", _MODEL, registry=REGISTRY
)
RETENTION_DELETED: Final = Counter(
    "assay_retention_deleted",
    "Rows deleted by age, without the rows that go with them.",
    ("kind",),
    registry=REGISTRY,
)
SCORES_QUEUED: Final = Gauge(
    "assay_store_scores_queued", "Scores that wait to be written.", registry=REGISTRY
)
JUDGEMENTS_QUEUED: Final = Gauge(
    "assay_store_judgements_queued", "Judgements that wait to be written.", registry=REGISTRY
)


class BoundedLabels:
    """Passes the first `most` different values, and replaces all further values by `OTHER`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value


bounded_model: Final = BoundedLabels(MAX_MODELS)
"""Maximum number of model labels.

Users choose the names of models, so their number is otherwise unlimited.
"""


def model_labels(provider: str, model: str) -> tuple[str, str]:
    """The model without its provider, because names with and without a provider mean the same
    model.
    """
    return provider, bounded_model(model.removeprefix(f"{provider}/"))


def show_failures(model: str) -> None:
    """Exposes the failed pairs of a model from zero on, as for the ended runs."""
    _show_causes(bounded_model(model))


@cache
def _show_causes(label: str) -> None:
    for cause in FailureCause:
        PAIRS_FAILED.labels(cause, label)


def count_usage(provider: str, model: str, usage: Usage) -> None:
    labels = model_labels(provider, model)
    TOKENS.labels(*labels, "prompt").inc(usage.prompt_tokens)
    TOKENS.labels(*labels, "completion").inc(usage.completion_tokens)
    if usage.cost_usd is None:
        UNPRICED.labels(*labels).inc(usage.calls)
    else:
        COST.labels(*labels).inc(usage.cost_usd)


@dataclass(slots=True)
class CallMeasure:
    """The outcome of a call; `CANCELED` until another outcome is set."""

    outcome: CallOutcome = CallOutcome.CANCELED


@contextmanager
def measured_call(provider: str, model: str) -> Iterator[CallMeasure]:
    """Times the block, and counts it under the outcome that the block sets."""
    labels = model_labels(provider, model)
    call = CallMeasure()
    began = perf_counter()
    try:
        yield call
    finally:
        CALL_DURATION.labels(*labels).observe(perf_counter() - began)
        CALLS.labels(*labels, call.outcome).inc()
