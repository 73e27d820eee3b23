"""The Langfuse SDK, version 3 and later: `langfuse.*`."""

from typing import Final

from pydantic import JsonValue

from api.otlp.records import Fields
from api.otlp.values import Attributes, structured, unquoted
from api.otlp.vocabulary import Reading, SpanSource, Vocabulary
from core.ids import SpanKind

_KINDS: Final = {
    "generation": SpanKind.LLM,
    "embedding": SpanKind.EMBEDDING,
    "agent": SpanKind.AGENT,
    "tool": SpanKind.TOOL,
    "chain": SpanKind.CHAIN,
    "retriever": SpanKind.RETRIEVER,
}
_OBSERVATION: Final = "langfuse.observation."
_TRACE: Final = "langfuse.trace."


def read(source: SpanSource) -> Reading:
    attributes = source.attributes
    named = attributes.peek(_OBSERVATION + "type")
    kind = _KINDS.get(named.lower()) if isinstance(named, str) else None
    tags = structured(attributes.take(_TRACE + "tags", "langfuse.tags"))
    is_error = attributes.peek(_OBSERVATION + "level") == "ERROR"
    started = unquoted(attributes.take(_OBSERVATION + "completion_start_time"))
    return Reading(
        kind=kind,
        input=_side(attributes, "input"),
        output=_side(attributes, "output"),
        model=attributes.take_text(_OBSERVATION + "model.name"),
        model_parameters=_object(attributes.take(_OBSERVATION + "model.parameters")),
        token_usage=_object(attributes.take(_OBSERVATION + "usage_details")),
        cost=_cost(attributes),
        is_error=is_error,
        error=attributes.take_text(_OBSERVATION + "status_message") if is_error else None,
        completion_start_time=started if isinstance(started, str) else None,
        session_id=attributes.take_text("langfuse.session.id", "langfuse.session_id"),
        user_id=attributes.take_text("langfuse.user.id", "langfuse.user_id"),
        environment=attributes.take_text("langfuse.environment"),
        release=attributes.take_text("langfuse.release"),
        tags=tags if isinstance(tags, list) else [],
        metadata=_metadata(attributes),
    )


def _side(attributes: Attributes, side: str) -> JsonValue:
    found = attributes.take(_OBSERVATION + side)
    return unquoted(attributes.take(_TRACE + side) if found is None else found)


def _object(value: JsonValue) -> JsonValue:
    found = structured(value)
    return found if isinstance(found, dict) and found else None


def _cost(attributes: Attributes) -> JsonValue:
    return _object(attributes.take(_OBSERVATION + "cost_details"))


def _metadata(attributes: Attributes) -> Fields:
    whole = structured(attributes.take(_TRACE + "metadata"))
    found: Fields = whole if isinstance(whole, dict) else {}
    named = attributes.take_under(_TRACE + "metadata.")
    return found | {name: unquoted(value) for name, value in named.items()}


VOCABULARY = Vocabulary(
    name="Langfuse SDK",
    heads=frozenset(("langfuse",)),
    read=read,
)
