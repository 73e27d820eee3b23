"""Spans about Assay itself, for OpenTelemetry; nothing happens unless `start` was called.

These spans are not part of the traces that Assay judges. OpenTelemetry is imported only when
tracing is on, because its SDK is an extra.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

from core.errors import Misconfigured

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

Kind = Literal["SERVER", "CLIENT"]
Attributes = Mapping[str, str | int]

SWITCH: Final = "OTEL_TRACES_EXPORTER"
"""Tracing is on if this standard variable is `otlp`.

OpenTelemetry's own default is on. Here it is off, because the variables that address a collector
may be set for an agent on the same machine, whose collector is Assay.
"""

_tracer: "Tracer | None" = None


class OpenSpan:
    """An open span; without tracing, its methods have no effect."""

    def __init__(self, span: "Span | None") -> None:
        self._span = span

    def set(self, attributes: Attributes) -> None:
        if self._span is not None:
            self._span.set_attributes(attributes)

    def rename(self, name: str) -> None:
        if self._span is not None:
            self._span.update_name(name)

    def fail(self, error_type: str) -> None:
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR)
            self._span.set_attribute("error.type", error_type)


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether the environment turns tracing on. Raises Misconfigured for an unknown exporter."""
    wanted = environment.get(SWITCH, "none").strip().lower() or "none"
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if wanted not in ("otlp", "none"):
        raise Misconfigured(f"{SWITCH} is {wanted!r}. Assay knows `otlp` and `none`.")
    return wanted == "otlp"


@contextmanager
def running(process: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Exports spans while the block runs, if the environment asks for them.

    `process` is the name of the service unless OTEL_SERVICE_NAME gives another. Raises
    Misconfigured.
    """
    if not is_asked_for(environment):
        yield
        return
    try:
        from core.telemetry import span_export
    except ImportError as error:
        raise Misconfigured(
            f"{SWITCH}=otlp needs the extra `tracing`: pip install 'assay[tracing]'."
        ) from error
    provider = span_export.provider(process)
    start(provider)
    try:
        yield
    finally:
        stop()
        provider.shutdown()


def start(provider: "TracerProvider") -> None:
    global _tracer  # one tracer per process, as for loggers
    _tracer = provider.get_tracer("assay")


def stop() -> None:
    global _tracer  # see `start`
    _tracer = None


@contextmanager
def span(
    name: str, kind: Kind, attributes: Attributes, *, parent: Mapping[str, str] | None = None
) -> Iterator[OpenSpan]:
    """`parent`: headers that may carry a W3C `traceparent`; else the current span is the parent.

    Baggage is ignored, because it may contain anything.
    """
    if _tracer is None:
        yield OpenSpan(None)
        return
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = None if parent is None else TraceContextTextMapPropagator().extract(parent)
    with _tracer.start_as_current_span(
        name,
        context=context,
        kind=trace.SpanKind[kind],
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        opened = OpenSpan(made)
        try:
            yield opened
        except Exception as error:
            opened.fail(type(error).__name__)
            raise


def annotate(attributes: Attributes) -> None:
    """Adds attributes to the current span."""
    if _tracer is not None:
        from opentelemetry import trace

        trace.get_current_span().set_attributes(attributes)


def current_ids() -> dict[str, str]:
    """The ids of the current span, for log lines; empty without tracing."""
    if _tracer is None:
        return {}
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "otel_trace_id": trace.format_trace_id(context.trace_id),
        "otel_span_id": trace.format_span_id(context.span_id),
    }


def tracer() -> "Tracer | None":
    """None while tracing is off."""
    return _tracer
