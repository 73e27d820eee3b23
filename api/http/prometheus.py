"""Measures of an API process in the Prometheus text format."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, generate_latest

from api.http.memory_budget import MemoryBudget
from core.db.database import Database
from core.telemetry.process_measures import add_database, add_gauge, process_registry
from core.trace_input import TraceBody

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ApiMeasures:
    """Labels contain the route, not the path, so that each label has few values."""

    def __init__(self) -> None:
        self.registry = process_registry()
        self._requests = Counter(
            "assay_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._durations = Histogram(
            "assay_http_request_duration_seconds",
            "From the first byte of the request to the last byte of the response.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.requests_open = Gauge(
            "assay_http_requests_open", "Requests being answered.", registry=self.registry
        )
        self.traces_stored = self._counter("assay_traces_stored", "Traces acknowledged.")
        self.spans_stored = self._counter("assay_spans_stored", "Spans acknowledged.")
        self.spans_refused = self._counter("assay_spans_refused", "OTLP spans refused.")
        self.bytes_received = self._counter(
            "assay_request_body_bytes", "Bytes of request bodies, as they were sent."
        )
        self.runs_started = self._counter("assay_runs_started", "Evaluation runs started.")
        self._runs = Gauge(
            "assay_runs_unfinished",
            "Unfinished runs of all projects; the same in every API process.",
            ("state",),
            registry=self.registry,
        )

        self._overdue = Gauge(
            "assay_retention_overdue_seconds",
            "How long the oldest row of any project has been past its age; the same in every API "
            "process. Each minute reads 1,000 projects, so with more a change shows later.",
            ("kind",),
            registry=self.registry,
        )

    def _counter(self, name: str, about: str) -> Counter:
        return Counter(name, about, registry=self.registry)

    def count_request(self, *, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, status).inc()
        self._durations.labels(route).observe(seconds)

    def count_traces(self, traces: Sequence[TraceBody]) -> None:
        self.traces_stored.inc(len(traces))
        self.spans_stored.inc(sum(len(trace.spans) for trace in traces))

    def watch_database(self, database: Database) -> None:
        add_database(self.registry, database)

    def watch_bodies(self, reading: MemoryBudget, handling: MemoryBudget) -> None:
        """Only large bodies count, because small bodies reserve no memory."""
        gauges: Mapping[str, tuple[str, Callable[[], float]]] = {
            "assay_request_bodies_reading_bytes": (
                "Memory of large bodies being received.",
                lambda: reading.held,
            ),
            "assay_request_bodies_handling_bytes": (
                "Memory reserved to handle large bodies.",
                lambda: handling.held,
            ),
        }
        for name, (about, value) in gauges.items():
            add_gauge(self.registry, name, about, value)

    def text(self, runs: Mapping[str, int], overdue: Mapping[str, float]) -> bytes:
        """`runs`: unfinished runs by state; `overdue`: seconds by kind. Empty if unknown."""
        self._overdue.clear()
        for kind, seconds in overdue.items():
            self._overdue.labels(kind).set(seconds)
        self._runs.clear()
        for state, count in runs.items():
            self._runs.labels(state).set(count)
        return generate_latest(self.registry)
