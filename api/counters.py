"""Counters of this process, as Prometheus reads them."""

from collections import Counter
from collections.abc import Iterator

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Counters:
    """Requests are told apart by route, never by path: a label has few values."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: Counter[tuple[str, float]] = Counter()
        self._seconds: Counter[str] = Counter()
        self.requests_open = 0
        self.traces_stored = 0
        self.runs_started = 0

    def count_request(self, *, method: str, route: str, status: int, seconds: float) -> None:
        self._requests[method, route, status] += 1
        self._seconds[route] += seconds  # type: ignore[assignment] # a Counter adds floats as well
        for bound in _BOUNDS:
            if seconds <= bound:
                self._buckets[route, bound] += 1

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield from _header("assay_http_requests_total", "counter", "Requests answered.")
        for (method, route, status), count in sorted(self._requests.items()):
            labels = f'method="{method}",route="{route}",status="{status}"'
            yield f"assay_http_requests_total{{{labels}}} {count}"
        yield from self._durations()
        for name, kind, about, value in (
            ("assay_http_requests_open", "gauge", "Requests being answered.", self.requests_open),
            ("assay_traces_stored_total", "counter", "Traces acknowledged.", self.traces_stored),
            ("assay_runs_started_total", "counter", "Evaluation runs started.", self.runs_started),
        ):
            yield from _header(name, kind, about)
            yield f"{name} {value}"

    def _durations(self) -> Iterator[str]:
        name = "assay_http_request_duration_seconds"
        yield from _header(name, "histogram", "From the first byte to the last.")
        counts: Counter[str] = Counter()
        for (_, route, _), count in self._requests.items():
            counts[route] += count
        for route, count in sorted(counts.items()):
            for bound in _BOUNDS:
                yield f'{name}_bucket{{route="{route}",le="{bound}"}} {self._buckets[route, bound]}'
            yield f'{name}_bucket{{route="{route}",le="+Inf"}} {count}'
            yield f'{name}_sum{{route="{route}"}} {self._seconds[route]:.6f}'
            yield f'{name}_count{{route="{route}"}} {count}'


def _header(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
