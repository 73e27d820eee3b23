"""OpenLLMetry, Traceloop's SDK: `traceloop.*` and the GenAI conventions.

Workflows, tasks, agents and tools have their input and output as JSON in `traceloop.entity.input`
and `traceloop.entity.output`.
"""

from typing import Final

from pydantic import JsonValue

from api.otlp.values import arguments, unquoted
from api.otlp.vocabulary import Reading, SpanSource, Vocabulary
from core.ids import SpanKind

_KINDS: Final = {
    "workflow": SpanKind.CHAIN,
    "task": SpanKind.CHAIN,
    "agent": SpanKind.AGENT,
    "tool": SpanKind.TOOL,
}
_PROPERTIES: Final = "traceloop.association.properties."
_SESSION: Final = ("session_id", "session.id", "thread_id", "conversation_id", "chat_id")
_USER: Final = ("user_id", "user.id")
_LANGCHAIN: Final = frozenset(
    ("inputs", "outputs", "output", "input_str", "tags", "metadata", "kwargs", "name")
)
"""Keys of the objects that OpenLLMetry's LangChain callback writes."""


def read(source: SpanSource) -> Reading:
    attributes = source.attributes
    named = attributes.peek("traceloop.span.kind")
    kind = _KINDS.get(named.lower()) if isinstance(named, str) else None
    asked = unquoted(attributes.take("traceloop.entity.input"))
    answered = unquoted(attributes.take("traceloop.entity.output"))
    reading = Reading(
        kind=kind,
        input=_unwrapped(asked, ("inputs", "input_str")),
        output=_unwrapped(answered, ("outputs", "output")),
        session_id=attributes.take_text(*(_PROPERTIES + name for name in _SESSION)),
        user_id=attributes.take_text(*(_PROPERTIES + name for name in _USER)),
    )
    if kind is SpanKind.TOOL:
        reading.name = attributes.take_text("traceloop.entity.name")
        reading.input = _called_with(reading.input)
    return reading


def _unwrapped(value: JsonValue, names: tuple[str, ...]) -> JsonValue:
    """The value inside the object of LangChain's callback, without tags and metadata."""
    if not isinstance(value, dict) or not value.keys() <= _LANGCHAIN:
        return value
    return next((value[name] for name in names if value.get(name) is not None), value)


def _called_with(value: JsonValue) -> JsonValue:
    """The arguments of a decorated function by name, or its only argument if it is an object."""
    value = arguments(value)
    if not isinstance(value, dict) or not value.keys() <= {"args", "kwargs"}:
        return value
    places, names = value.get("args"), value.get("kwargs")
    if not places:
        return names
    if names or not isinstance(places, list) or len(places) > 1:
        return value
    return arguments(places[0])


VOCABULARY = Vocabulary(
    name="OpenLLMetry",
    heads=frozenset(("traceloop",)),
    read=read,
    rank=1,
)
