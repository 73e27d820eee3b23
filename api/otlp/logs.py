"""Log records that are events of spans: messages to and from a model."""

from collections import defaultdict
from datetime import UTC, datetime
from uuid import UUID

from api.otlp import readings
from api.otlp.catalog import known_heads
from api.otlp.ids import span_uuid, trace_uuid
from api.otlp.records import Event, Export, Group
from api.otlp.spans import SCOPE, moment
from api.otlp.values import Attributes
from api.otlp.vocabulary import Events, SpanSource
from core.ids import SpanKind, TraceStatus
from core.trace_input import LoggedSpan, SpanBody, SpanDerivedTrace

_NAME = "model call"
"""Name of a span that only log records have described."""


def read(export: Export) -> list[SpanDerivedTrace]:
    """The traces whose spans these records describe. Other records are dropped."""
    events: dict[tuple[UUID, UUID], list[Event]] = defaultdict(list)
    scopes: dict[UUID, Group] = {}
    for group in export.groups:
        for record in group.logs:
            trace_id, span_id = trace_uuid(record.trace_id), span_uuid(record.span_id)
            if trace_id is None or span_id is None or not _is_known(record.event):
                continue
            events[trace_id, span_id].append(record.event)
            scopes.setdefault(trace_id, group)
    spans: dict[UUID, list[SpanBody]] = defaultdict(list)
    for (trace_id, span_id), found in events.items():
        span = _span(span_id, found, scopes[trace_id])
        if span is not None:
            spans[trace_id].append(span)
    return [_trace(trace_id, found) for trace_id, found in spans.items()]


def _is_known(event: Event) -> bool:
    return event.name.partition(".")[0] in known_heads()


def _span(span_id: UUID, events: list[Event], group: Group) -> LoggedSpan | None:
    source = SpanSource(group.scope, "", Attributes({}), Events(events))
    reading = readings.read(source)
    if reading.input is None and reading.output is None:
        return None
    first = min(event.time_ns for event in events)
    about = {SCOPE: group.scope} if group.scope else {}
    return LoggedSpan.model_validate(
        {
            "span_id": span_id,
            "parent_span_id": span_id,
            "name": _NAME,
            "kind": reading.kind or SpanKind.LLM,
            "input": reading.input,
            "output": reading.output,
            "started_at": moment(first) or datetime.now(UTC),
            "metadata": about,
        }
    )


def _trace(trace_id: UUID, spans: list[SpanBody]) -> SpanDerivedTrace:
    return SpanDerivedTrace(
        trace_id=trace_id,
        name=_NAME,
        status=TraceStatus.RUNNING,
        input=next((span.input for span in spans if span.input is not None), None),
        output=next((span.output for span in reversed(spans) if span.output is not None), None),
        started_at=min(span.started_at for span in spans),
        spans=spans,
    )
