import sys
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry import baggage
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.trace import StatusCode

from core.errors import Misconfigured
from core.telemetry import tracing
from core.telemetry.span_export import PlainExporter, provider
from core.temporal import client

SECRET = "what the agent said"


class Kept(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Turns tracing on, and keeps the exported spans."""
    exporter = Kept()
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(PlainExporter(exporter)))
    tracing.start(made)
    yield exporter
    tracing.stop()
    made.shutdown()


def test_without_tracing_nothing_is_recorded_and_everything_works() -> None:
    with tracing.span("request", "SERVER", {}) as span:
        span.set({"http.route": "/traces"})
        span.rename("POST /traces")
        span.fail("500")
        tracing.annotate({"assay.run_id": "1"})
        assert tracing.current_ids() == {}
    assert client.interceptors() == []


def test_a_span_leaves_with_its_known_attributes_only(kept: Kept) -> None:
    with tracing.span("request", "SERVER", {"http.route": "/traces", "http.target": SECRET}):
        tracing.annotate({"assay.run_id": "1", "note": SECRET})
    [span] = kept.spans
    assert dict(span.attributes or {}) == {"http.route": "/traces", "assay.run_id": "1"}
    assert SECRET not in span.to_json()


def test_an_error_leaves_its_type_and_none_of_its_words(kept: Kept) -> None:
    tracer = tracing.tracer()
    assert tracer is not None
    with pytest.raises(LookupError), tracing.span("own", "CLIENT", {}):
        raise LookupError(SECRET)
    with pytest.raises(LookupError), tracer.start_as_current_span("of a library"):
        raise LookupError(SECRET)
    own, other = kept.spans
    assert (own.attributes or {})["error.type"] == "LookupError"
    for span in (own, other):
        assert span.status.status_code is StatusCode.ERROR
        assert SECRET not in span.to_json()


def test_a_request_continues_the_trace_of_its_caller_without_its_baggage(kept: Kept) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "baggage": f"note={SECRET}"}
    with tracing.span("request", "SERVER", {}, parent=headers):
        assert tracing.current_ids()["otel_trace_id"] == trace_id
        assert baggage.get_all() == {}
    with tracing.span("request", "SERVER", {}, parent={}):
        assert tracing.current_ids()["otel_trace_id"] != trace_id


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_tracing_is_on_only_where_it_was_asked_for(environment: dict[str, str], on: bool) -> None:
    assert tracing.is_asked_for(environment) is on


def test_an_exporter_that_assay_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(Misconfigured, match=r"OTEL_TRACES_EXPORTER is 'zipkin'\. Assay knows"):
        tracing.is_asked_for({"OTEL_TRACES_EXPORTER": "zipkin"})


def test_a_process_without_the_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "core.telemetry.span_export", None)
    monkeypatch.delattr("core.telemetry.span_export", raising=False)
    with (
        pytest.raises(Misconfigured, match=r"pip install 'assay\[tracing\]'"),
        tracing.running("assay-api", {"OTEL_TRACES_EXPORTER": "otlp"}),
    ):
        pass


def test_a_service_is_named_by_its_process_unless_the_environment_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def name() -> object:
        made = provider("assay-worker", Kept())
        made.shutdown()
        return made.resource.attributes["service.name"]

    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    assert name() == "assay-worker"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "judging")
    assert name() == "judging"


def test_what_a_process_exports_has_lost_the_words_of_errors() -> None:
    exporter = Kept()
    made = provider("assay-worker", exporter)
    with pytest.raises(LookupError), made.get_tracer("any").start_as_current_span("of a library"):
        raise LookupError(SECRET)
    made.shutdown()
    [span] = exporter.spans
    assert span.name == "of a library"
    assert SECRET not in span.to_json()
