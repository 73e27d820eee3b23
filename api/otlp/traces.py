"""Groups the spans of one export request by trace."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from api.otlp import limits, spans
from api.otlp.records import Export, Fields, Group, Refusal
from api.otlp.spans import SCOPE, Labels, Refused
from core.filters import MAX_TAGS
from core.safe_text import sanitize
from core.trace_input import SpanBody, SpanDerivedTrace
from core.trace_rollup import PARENT_IS_REMOTE, SpanStub, roll_up
from core.truncation import truncate

_MAX_LABEL = 255
_MAX_NAMED = 5
_MAX_NAME_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Received:
    traces: list[SpanDerivedTrace]
    refused: list[Refusal]
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def message(self) -> str:
        """The number of rejected spans per reason, and the name of the first rejected span."""
        names: dict[str, list[str]] = defaultdict(list)
        for name, reason in self.refused:
            names[reason].append(name)
        reasons = ", ".join(
            f"{len(found)} with {reason}{_named(found)}" for reason, found in sorted(names.items())
        )
        refused = f"Refused spans: {reasons}." if reasons else ""
        return " ".join(filter(None, (refused, limits.dropped(self.dropped))))


def _named(names: list[str]) -> str:
    told = [truncate(sanitize(name), _MAX_NAME_CHARACTERS) for name in names if name][:_MAX_NAMED]
    return f" ({', '.join(repr(name) for name in told)})" if told else ""


@dataclass(slots=True)
class _Gathered:
    spans: list[SpanBody] = field(default_factory=list)
    labels: list[tuple[bool, Labels]] = field(default_factory=list)
    resource: Fields = field(default_factory=dict)


def read(export: Export) -> Received:
    gathered: dict[UUID, _Gathered] = {}
    refused = list(export.refused)
    for group in export.groups:
        about = _about(group)
        for span in group.spans:
            try:
                reading = spans.read(span, group.scope, about)
            except Refused as why:
                refused.append(Refusal(span.name, str(why)))
                continue
            trace = gathered.setdefault(reading.trace_id, _Gathered())
            trace.spans.append(reading.body)
            trace.labels.append((reading.body.parent_span_id is None, reading.labels))
            trace.resource |= group.resource
    return Received(
        [_trace(trace_id, trace) for trace_id, trace in gathered.items()], refused, export.dropped
    )


def _about(group: Group) -> Fields:
    about: Fields = {}
    if group.resource.get("service.name") is not None:
        about["service.name"] = group.resource["service.name"]
    if group.scope:
        about[SCOPE] = group.scope
    return about


def _trace(trace_id: UUID, gathered: _Gathered) -> SpanDerivedTrace:
    # The root's fields take precedence over those of the spans below it.
    labels = [one for _, one in sorted(gathered.labels, key=lambda one: not one[0])]
    tags = dict.fromkeys(tag for one in labels for tag in one.tags)
    resource = gathered.resource
    fields: dict[str, Any] = _head(gathered.spans) | {
        "trace_id": trace_id,
        "session_id": _first(labels, "session_id"),
        "user_id": _first(labels, "user_id"),
        "environment": _first(labels, "environment")
        or _label(resource, "deployment.environment.name", "deployment.environment"),
        "release": _first(labels, "release") or _label(resource, "service.version"),
        "tags": list(tags)[:MAX_TAGS],
        "metadata": resource | (labels[0].metadata if labels else {}),
        "spans": gathered.spans,
    }
    return SpanDerivedTrace.model_validate({k: v for k, v in fields.items() if v is not None})


def _first(labels: list[Labels], name: str) -> str | None:
    values: list[str | None] = [getattr(one, name) for one in labels]
    return next((value for value in values if value), None)


def _head(bodies: list[SpanBody]) -> dict[str, Any]:
    by_id = {body.span_id: body for body in bodies}
    head = roll_up(_stub(span) for span in by_id.values())
    top = by_id[head.top.id]
    return {
        "name": top.name,
        "status": head.status(parent_is_remote=PARENT_IS_REMOTE in top.metadata),
        "input": by_id[head.input_from].input if head.input_from else None,
        "output": by_id[head.output_from].output if head.output_from else None,
        "started_at": head.started_at,
        "ended_at": head.ended_at,
    }


def _stub(span: SpanBody) -> SpanStub:
    return SpanStub(
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
