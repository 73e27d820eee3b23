"""Exports spans without fields that could quote a trace, a prompt or a key."""

from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status

ATTRIBUTES: Final = frozenset(
    (
        *("http.request.method", "http.route", "http.response.status_code", "error.type"),
        *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"),
        *("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
        *("assay.project_id", "assay.run_id", "assay.trace_id", "assay.metric", "assay.outcome"),
        *("temporalWorkflowID", "temporalRunID", "temporalActivityID", "temporalActivityType"),
        "temporalUpdateID",
    )
)
"""The exported attributes. All other attributes are omitted."""


class PlainExporter(SpanExporter):
    """Passes spans on with only their known attributes.

    Omits events and status messages: libraries write exceptions into them, which may quote
    anything.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_plain(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _plain(span: ReadableSpan) -> ReadableSpan:
    known = {name: value for name, value in (span.attributes or {}).items() if name in ATTRIBUTES}
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=known,
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def provider(process: str, exporter: SpanExporter | None = None) -> TracerProvider:
    """Reads address, headers, sampling and batching from the `OTEL_…` variables."""
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: process}))
    made = TracerProvider(resource=resource, shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(PlainExporter(exporter or OTLPSpanExporter())))
    return made
