"""LangSmith's OpenTelemetry exporter: `langsmith.*`.

A run's inputs and outputs are JSON in `gen_ai.prompt` and `gen_ai.completion`, with LangChain's
messages serialized as constructors.
"""

from typing import Final

from pydantic import JsonValue

from api.otlp.values import Attributes, arguments, given, structured
from api.otlp.vocabulary import Reading, SpanSource, Vocabulary
from core.ids import SpanKind

_KINDS: Final = {
    "llm": SpanKind.LLM,
    "chat_model": SpanKind.LLM,
    "tool": SpanKind.TOOL,
    "chain": SpanKind.CHAIN,
    "agent": SpanKind.AGENT,
    "prompt": SpanKind.CHAIN,
    "parser": SpanKind.CHAIN,
    "retriever": SpanKind.RETRIEVER,
    "embedding": SpanKind.EMBEDDING,
}
_METADATA: Final = "langsmith.metadata."
_SESSION: Final = ("thread_id", "session_id", "conversation_id")
_USER: Final = ("user_id", "ls_user_id")


def read(source: SpanSource) -> Reading:
    attributes = source.attributes
    named = attributes.peek("langsmith.span.kind")
    kind = _KINDS.get(named.lower()) if isinstance(named, str) else None
    inputs = structured(attributes.take("gen_ai.prompt"))
    answered = structured(attributes.take("gen_ai.completion"))
    if kind is SpanKind.TOOL:
        inputs, answered = _called_with(inputs), _result(answered)
    return Reading(
        kind=kind,
        name=attributes.take_text("langsmith.trace.name"),
        input=inputs,
        output=answered,
        token_usage=_usage(attributes),
        session_id=attributes.take_text(*(_METADATA + name for name in _SESSION)),
        user_id=attributes.take_text(*(_METADATA + name for name in _USER)),
        tags=_tags(attributes),
    )


def _called_with(value: JsonValue) -> JsonValue:
    if isinstance(value, dict) and len(value) == 1:
        [inner] = value.values()
        if "input" in value or "input_str" in value:
            return arguments(inner)
    return value


def _result(value: JsonValue) -> JsonValue:
    """The result inside LangChain's tool message."""
    if isinstance(value, dict) and len(value) == 1 and "output" in value:
        value = value["output"]
    message = value.get("kwargs") if isinstance(value, dict) and "lc" in value else value
    if isinstance(message, dict) and message.get("type") == "tool" and "content" in message:
        return structured(message["content"])
    return value


def _usage(attributes: Attributes) -> JsonValue:
    """Details of the usage that the GenAI conventions do not name."""
    cached = structured(attributes.take("gen_ai.usage.input_token_details"))
    thought = structured(attributes.take("gen_ai.usage.output_token_details"))
    details = given(input_token_details=cached, output_token_details=thought)
    if not details:
        return None
    return details | given(
        input_tokens=attributes.take("gen_ai.usage.input_tokens"),
        output_tokens=attributes.take("gen_ai.usage.output_tokens"),
        total_tokens=attributes.take("gen_ai.usage.total_tokens"),
    )


def _tags(attributes: Attributes) -> list[JsonValue]:
    found = attributes.take("langsmith.span.tags")
    if isinstance(found, str):
        return [tag.strip() for tag in found.split(",") if tag.strip()]
    return found if isinstance(found, list) else []


VOCABULARY = Vocabulary(
    name="LangSmith exporter",
    heads=frozenset(("langsmith",)),
    read=read,
)
