"""Google's Agent Development Kit: `gcp.vertex.agent.*` and the GenAI conventions."""

from typing import Final

from pydantic import JsonValue

from api.otlp.values import Attributes, structured
from api.otlp.vocabulary import Reading, SpanSource, Vocabulary
from core.ids import SpanKind

_PREFIX: Final = "gcp.vertex.agent."
_EMPTY: Final = ("{}", "[]", "N/A", "")


def read(source: SpanSource) -> Reading:
    attributes = source.attributes
    request = _take(attributes, "llm_request")
    response = _take(attributes, "llm_response")
    called_with = _take(attributes, "tool_call_args")
    result = _take(attributes, "tool_response")
    reading = Reading(
        kind=_kind(source),
        session_id=attributes.take_text(_PREFIX + "session_id"),
    )
    if attributes.peek("gen_ai.operation.name") == "execute_tool":
        reading.input, reading.output = called_with, result
        return reading
    if isinstance(request, dict):
        reading.input = _request_messages(request)
        config = request.get("config")
        reading.tools = config.get("tools") if isinstance(config, dict) else None
        model = request.get("model")
        reading.model = model if isinstance(model, str) else None
    if isinstance(response, dict):
        content = response.get("content")
        reading.output = {"messages": [content]} if isinstance(content, dict) else response
        reading.token_usage = response.get("usage_metadata")
    return reading


def _kind(source: SpanSource) -> SpanKind | None:
    if source.name == "call_llm":
        return SpanKind.LLM
    if source.name == "invocation":
        return SpanKind.CHAIN
    return SpanKind.AGENT if source.name.startswith("agent_run") else None


def _take(attributes: Attributes, name: str) -> JsonValue:
    """Takes the attribute; None also for placeholders of omitted content."""
    found = attributes.take(_PREFIX + name)
    return None if found in _EMPTY else structured(found)


def _request_messages(request: dict[str, JsonValue]) -> JsonValue:
    config = request.get("config")
    instruction = config.get("system_instruction") if isinstance(config, dict) else None
    contents = request.get("contents")
    found: list[JsonValue] = [{"role": "system", "content": instruction}] if instruction else []
    found += contents if isinstance(contents, list) else []
    return {"messages": found} if found else None


VOCABULARY = Vocabulary(
    name="Google ADK",
    heads=frozenset(("gcp",)),
    read=read,
)
