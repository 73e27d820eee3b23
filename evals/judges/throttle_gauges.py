"""Gauges of the rate control of a worker, read at each scrape of Prometheus."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from core.provider_status import ThrottleState, ThrottleStatus
from core.telemetry.measures import MAX_MODELS, model_labels

_LABELS: Final = ("provider", "model")


class ThrottleGauges(Collector):
    """A model without open calls, waiting calls and a limit has no sample."""

    def __init__(self, throttles: Callable[[], Iterable[ThrottleStatus]]) -> None:
        self._throttles = throttles

    def collect(self) -> Iterator[GaugeMetricFamily]:
        open_calls = _gauge("assay_throttle_open_calls", "Open calls.")
        waiting = _gauge("assay_throttle_waiting", "Callers that wait for a permit.")
        limit = _gauge("assay_throttle_limit", "Calls that may be open at once.")
        pace = _gauge("assay_throttle_calls_per_second", "Calls that may begin per second.")
        down = _gauge(
            "assay_throttle_down", ("1 while all calls fail and only single probes are sent.")
        )
        for status in list(self._throttles())[:MAX_MODELS]:
            labels = model_labels(status.provider, status.model)
            open_calls.add_metric(labels, status.open_calls)
            waiting.add_metric(labels, status.waiting)
            down.add_metric(labels, float(status.state is ThrottleState.DOWN))
            if status.limit is not None:
                limit.add_metric(labels, status.limit)
            if status.per_second is not None:
                pace.add_metric(labels, status.per_second)
        yield from (open_calls, waiting, limit, pace, down)


def _gauge(name: str, about: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, labels=_LABELS)
