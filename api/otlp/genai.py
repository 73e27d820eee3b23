"""The GenAI semantic conventions of OpenTelemetry, in their current and previous forms.

Messages came as span events first (`gen_ai.user.message`, `gen_ai.choice`, and before these
`gen_ai.content.prompt`), or as attributes (`gen_ai.prompt`, also flattened as
`gen_ai.prompt.0.role`); now they are the attributes `gen_ai.input.messages` and
`gen_ai.output.messages`, also on one event. Strands, Microsoft's Agent Framework, AutoGen,
Semantic Kernel, Koog, OpenLIT and Google ADK write them.
"""

from typing import Final

from pydantic import JsonValue

from api.otlp.message_events import NAMES, MessageEvents, blocks, messages
from api.otlp.records import Fields
from api.otlp.values import Attributes, given, listed, structured, under
from api.otlp.vocabulary import Reading, SpanSource, Vocabulary
from core.ids import SpanKind

_KINDS: Final = {
    "chat": SpanKind.LLM,
    "text_completion": SpanKind.LLM,
    "completion": SpanKind.LLM,
    "generate_content": SpanKind.LLM,
    "embeddings": SpanKind.EMBEDDING,
    "embedding": SpanKind.EMBEDDING,
    "execute_tool": SpanKind.TOOL,
    "invoke_agent": SpanKind.AGENT,
    "create_agent": SpanKind.AGENT,
    "invoke_workflow": SpanKind.CHAIN,
    "retrieval": SpanKind.RETRIEVER,
    "rerank": SpanKind.RETRIEVER,
    "chain": SpanKind.CHAIN,
}
_TELLING: Final = (
    ("gen_ai.tool.name", SpanKind.TOOL),
    ("gen_ai.request.model", SpanKind.LLM),
    ("gen_ai.response.model", SpanKind.LLM),
    ("gen_ai.agent.name", SpanKind.AGENT),
)
_PARAMETERS: Final = ("gen_ai.request.", "gen_ai.openai.request.")
_USAGE: Final = {
    "prompt_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "completion_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "total_tokens": ("gen_ai.usage.total_tokens", "llm.usage.total_tokens"),
    "cache_read_input_tokens": (
        *("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
        *("gen_ai.usage.input_tokens.cached", "gen_ai.usage.cached_tokens"),
        *("gen_ai.usage.details.cached_tokens", "gen_ai.usage.details.cache_read_tokens"),
    ),
    "cache_creation_input_tokens": (
        *("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens"),
        *("gen_ai.usage.cache_write_input_tokens", "gen_ai.usage.details.cache_write_tokens"),
    ),
    "reasoning_output_tokens": (
        *("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"),
        "gen_ai.usage.details.reasoning_tokens",
    ),
}
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
"""The attribute that stays in the metadata under its own name."""

_DOCUMENTS: Final = ("gen_ai.tool.call.result", "gen_ai.tool.output", "gen_ai.retrieval.documents")
_MERGED_TOOLS: Final = "(merged tools)"
"""Google ADK's name for a span over several tools, which have their own spans."""


def read(source: SpanSource) -> Reading:
    attributes = source.attributes
    events = MessageEvents(source.events.take(NAMES))
    kind, guessed = _kind(attributes)
    tool = attributes.peek("gen_ai.tool.name")
    if kind is SpanKind.TOOL:
        if tool == _MERGED_TOOLS:
            return Reading(kind=SpanKind.CHAIN)
        asked, answered = _tool_input(attributes, events), _tool_output(attributes, events)
    else:
        asked, answered = _request_messages(attributes, events), _answered(attributes, events)
    return Reading(
        kind=kind,
        kind_is_guessed=guessed,
        # `execute_tool find_order` names the tool `find_order`.
        name=attributes.take_text("gen_ai.tool.name") if kind is SpanKind.TOOL else None,
        input=asked,
        output=answered,
        model=_model(attributes),
        model_parameters=_parameters(attributes),
        token_usage=_usage(attributes),
        cost=_cost(attributes),
        first_token_seconds=attributes.take("gen_ai.response.time_to_first_chunk"),
        session_id=attributes.take_text("gen_ai.conversation.id"),
        is_error=attributes.peek("gen_ai.tool.status") == "error",
        tools=_tools(attributes) if "llm" in attributes.heads else None,
    )


def _kind(attributes: Attributes) -> tuple[SpanKind | None, bool]:
    operation = attributes.peek("gen_ai.operation.name")
    kind = _KINDS.get(operation.lower()) if isinstance(operation, str) else None
    if kind is not None:
        return kind, False
    return next((k for name, k in _TELLING if attributes.peek(name) is not None), None), True


def _tool_input(attributes: Attributes, events: MessageEvents) -> JsonValue:
    arguments = attributes.take("gen_ai.tool.call.arguments", "gen_ai.tool.input")
    if arguments is None:
        arguments = events.tool_input
    if arguments is None:
        arguments = _called_with(_from_details(attributes, events, "gen_ai.input.messages"))
    if arguments is None:
        arguments = attributes.take("gen_ai.prompt")
    return structured(arguments)


def _tool_output(attributes: Attributes, events: MessageEvents) -> JsonValue:
    result = attributes.take(*_DOCUMENTS)
    if result is None and events.answered:
        said = events.answered[-1]
        result = said.get("content") if isinstance(said, dict) else said
    if result is None:
        result = _answered_with(_from_details(attributes, events, "gen_ai.output.messages"))
    if result is None:
        result = attributes.take("gen_ai.completion")
    return structured(blocks(result))


def _from_details(attributes: Attributes, events: MessageEvents, name: str) -> JsonValue:
    found = attributes.take(name)
    return structured(events.details.take(name) if found is None else found)


def _called_with(chat: JsonValue) -> JsonValue:
    """A tool's arguments in the messages of the span of its execution."""
    part = _part_of_type(chat, "tool_call")
    return chat if part is None else part.get("arguments")


def _answered_with(chat: JsonValue) -> JsonValue:
    part = _part_of_type(chat, "tool_call_response")
    return chat if part is None else part.get("response", part.get("result"))


def _part_of_type(chat: JsonValue, kind: str) -> Fields | None:
    for message in chat if isinstance(chat, list) else ():
        parts = message.get("parts") if isinstance(message, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and part.get("type") == kind:
                return part
    return None


def _request_messages(attributes: Attributes, events: MessageEvents) -> JsonValue:
    system = _instructions(attributes, events.details)
    current = _from_details(attributes, events, "gen_ai.input.messages")
    previous = _previous(attributes, "prompt", "user")
    found = messages(current, "user") or events.asked or previous
    if system or found:
        return {"messages": [*system, *found]}
    return structured(attributes.take("gen_ai.tool.call.arguments", "gen_ai.retrieval.query.text"))


def _instructions(attributes: Attributes, details: Attributes) -> list[JsonValue]:
    here = attributes.take("gen_ai.system_instructions")
    value = structured(details.take("gen_ai.system_instructions") if here is None else here)
    if not value:
        return []
    if isinstance(value, list):
        return [{"role": "system", "parts": value}]
    return [{"role": "system", "content": value}]


def _answered(attributes: Attributes, events: MessageEvents) -> JsonValue:
    current = _from_details(attributes, events, "gen_ai.output.messages")
    previous = _previous(attributes, "completion", "assistant")
    found = messages(current, "assistant") or events.answered or previous
    if found:
        return {"messages": found}
    return structured(attributes.take(*_DOCUMENTS))


def _previous(attributes: Attributes, noun: str, role: str) -> list[JsonValue]:
    """Reads `gen_ai.prompt`, or flattened attributes such as `gen_ai.prompt.0.content`."""
    flat = attributes.take_listed(f"gen_ai.{noun}.")
    whole = messages(attributes.take(f"gen_ai.{noun}"), role)
    return whole or [_unflattened(one, role) for one in flat]


def _unflattened(flat: Fields, role: str) -> JsonValue:
    calls: list[JsonValue] = [
        {name: structured(value) for name, value in call.items()}
        for call in listed(under(flat, "tool_calls."))
    ]
    message = {k: v for k, v in flat.items() if not k.startswith("tool_calls.")}
    if "content" in message:
        message["content"] = blocks(message["content"])
    return {"role": role} | message | ({"tool_calls": calls} if calls else {})


def _model(attributes: Attributes) -> str | None:
    """The model that answered; the requested model stays in the parameters."""
    asked = attributes.peek("gen_ai.request.model")
    answered = attributes.take("gen_ai.response.model")
    if answered is None or answered == asked:
        attributes.take("gen_ai.request.model")
    found = asked if answered is None else answered
    return found if isinstance(found, str) else None


def _usage(attributes: Attributes) -> JsonValue:
    found = given(**{name: attributes.take(*names) for name, names in _USAGE.items()})
    return found or None


def _cost(attributes: Attributes) -> JsonValue:
    return attributes.take("gen_ai.usage.cost", "gen_ai.usage.total_cost")


def _tools(attributes: Attributes) -> JsonValue:
    """The tools on offer, in OpenLLMetry's flattened form."""
    tools: list[JsonValue] = [
        given(
            name=one.get("name"),
            description=one.get("description"),
            parameters=structured(one.get("parameters")),
        )
        for one in attributes.take_listed("llm.request.functions.")
    ]
    return tools or None


def _parameters(attributes: Attributes) -> JsonValue:
    parameters: Fields = {}
    answered = attributes.peek("gen_ai.response.model")
    asked = attributes.peek("gen_ai.request.model")
    for prefix in _PARAMETERS:
        parameters |= attributes.take_under(prefix)
    if answered is None or answered == asked:
        parameters.pop("model", None)
    return parameters or None


VOCABULARY = Vocabulary(
    name="OpenTelemetry GenAI conventions",
    heads=frozenset(("gen_ai",)),
    read=read,
    rank=2,
)
