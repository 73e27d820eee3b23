"""A trace as a judge reads it, from an export or from a response of the API."""

from typing import Any, Final
from uuid import UUID

from api.otlp import json_export, traces
from core.errors import Invalid
from core.ids import SpanId, TraceId
from core.trace_input import TraceBody
from core.trace_model import Span, Trace
from evals.transcript.transcript import Transcript

MAX_TOKENS: Final = 100_000


def as_judged(trace: Trace) -> str:
    return Transcript(trace).prompt(MAX_TOKENS).text


def trace_of_export(export: dict[str, Any]) -> Trace:
    """The first trace of an OTLP request. Raises Invalid without one."""
    received = traces.read(json_export.read_spans(export))
    if not received.traces:
        raise Invalid(received.message or "The file holds no spans.")
    return trace_of_body(received.traces[0])


def trace_of_body(body: TraceBody) -> Trace:
    spans = sorted(body.spans, key=lambda span: (span.started_at, span.span_id))
    return Trace(
        id=TraceId(body.trace_id),
        spans=tuple(
            Span(
                id=SpanId(span.span_id),
                parent_id=None if span.parent_span_id is None else SpanId(span.parent_span_id),
                **span.model_dump(include=_SPAN_FIELDS),
            )
            for span in spans
        ),
        **body.model_dump(include=_TRACE_FIELDS),
    )


def trace_of_answer(answer: dict[str, Any]) -> Trace:
    """The trace in a response of `GET /traces/{id}`."""
    return Trace(
        id=TraceId(UUID(answer["trace_id"])),
        spans=tuple(
            Span(
                id=SpanId(UUID(span["span_id"])),
                parent_id=None
                if span["parent_span_id"] is None
                else SpanId(UUID(span["parent_span_id"])),
                **{name: span[name] for name in _SPAN_FIELDS},
            )
            for span in answer["spans"]
        ),
        **{name: answer[name] for name in _TRACE_FIELDS},
    )


_SPAN_FIELDS: Final = {
    *("name", "kind", "status", "input", "output", "error", "model", "metadata"),
    *("started_at", "ended_at"),
}
_TRACE_FIELDS: Final = {
    *("name", "status", "input", "output", "metadata", "started_at", "ended_at", "session_id"),
    "environment",
}
