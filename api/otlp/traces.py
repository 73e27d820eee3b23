"""What one export request holds, trace by trace."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from pydantic import JsonValue

from api.otlp import spans
from api.otlp.spans import Labels, Refused
from api.otlp.values import attributes
from core.filters import MAX_TAGS
from core.heads import PARENT_IS_REMOTE, Point, head_of
from core.ingestion import ObservedTrace, SpanBody

_MAX_LABEL = 255


@dataclass(frozen=True, slots=True)
class Received:
    traces: list[ObservedTrace]
    refused: Counter[str]
    """Spans that cannot be kept, by the reason."""

    @property
    def message(self) -> str:
        reasons = ", ".join(f"{count} with {why}" for why, count in sorted(self.refused.items()))
        return f"Refused spans: {reasons}." if reasons else ""


@dataclass(slots=True)
class _Gathered:
    spans: list[SpanBody] = field(default_factory=list)
    labels: list[tuple[bool, Labels]] = field(default_factory=list)
    resource: dict[str, JsonValue] = field(default_factory=dict)


def read(request: ExportTraceServiceRequest) -> Received:
    gathered: dict[UUID, _Gathered] = {}
    refused: Counter[str] = Counter()
    for resource_spans in request.resource_spans:
        resource = attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            about = _about(resource, scope_spans)
            for span in scope_spans.spans:
                try:
                    found = spans.read(span, about)
                except Refused as why:
                    refused[str(why)] += 1
                    continue
                trace = gathered.setdefault(found.trace_id, _Gathered())
                trace.spans.append(found.body)
                trace.labels.append((found.body.parent_span_id is None, found.labels))
                trace.resource |= resource
    return Received([_trace(id, trace) for id, trace in gathered.items()], refused)


def _about(resource: Mapping[str, JsonValue], scope: ScopeSpans) -> dict[str, JsonValue]:
    about: dict[str, JsonValue] = {}
    if resource.get("service.name") is not None:
        about["service.name"] = resource["service.name"]
    if scope.scope.name:
        about["otel.scope"] = scope.scope.name
    return about


def _trace(id: UUID, gathered: _Gathered) -> ObservedTrace:
    # The root's own words count before those of the spans below it.
    labels = [one for _, one in sorted(gathered.labels, key=lambda one: not one[0])]
    tags = dict.fromkeys(tag for one in labels for tag in one.tags)
    fields: dict[str, Any] = _head(gathered.spans) | {
        "trace_id": id,
        "session_id": next((one.session_id for one in labels if one.session_id), None),
        "user_id": next((one.user_id for one in labels if one.user_id), None),
        "environment": _label(
            gathered.resource, "deployment.environment.name", "deployment.environment"
        ),
        "release": _label(gathered.resource, "service.version"),
        "tags": list(tags)[:MAX_TAGS],
        "metadata": gathered.resource | (labels[0].metadata if gathered.labels else {}),
        "spans": gathered.spans,
    }
    return ObservedTrace.model_validate({k: v for k, v in fields.items() if v is not None})


def _head(bodies: list[SpanBody]) -> dict[str, Any]:
    spans = {body.span_id: body for body in bodies}
    head = head_of(_point(span) for span in spans.values())
    top = spans[head.top.id]
    return {
        "name": top.name,
        "status": head.status(parent_is_remote=PARENT_IS_REMOTE in top.metadata),
        "input": spans[head.input_from].input if head.input_from else None,
        "output": spans[head.output_from].output if head.output_from else None,
        "started_at": head.started_at,
        "ended_at": head.ended_at,
    }


def _point(span: SpanBody) -> Point:
    return Point(
        span.span_id,
        span.parent_span_id,
        span.name,
        span.kind,
        span.status,
        span.started_at,
        span.ended_at,
        span.input is not None,
        span.output is not None,
    )


def _label(resource: Mapping[str, JsonValue], *names: str) -> str | None:
    found = next((resource[name] for name in names if isinstance(resource.get(name), str)), None)
    return spans.clipped(found, _MAX_LABEL)
