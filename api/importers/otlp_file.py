"""Files of the OpenTelemetry collector's file exporter: one OTLP request per line."""

from collections.abc import Iterator

from api.importers.source import Export, Json, Source

_HOLDERS = ("resourceSpans", "resource_spans", "resourceLogs", "resource_logs")
_METRICS = ("resourceMetrics", "resource_metrics")


def _recognizes(record: Json) -> bool:
    return any(holder in record for holder in (*_HOLDERS, *_METRICS))


def _exports(record: Json) -> Iterator[Export]:
    for holder in _HOLDERS:
        if isinstance(record.get(holder), list):
            yield {holder: record[holder]}


SOURCE = Source("OTLP requests", _recognizes, _exports)
