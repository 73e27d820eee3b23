"""The GenAI semantic conventions of OpenTelemetry, in their current and previous forms.

Messages came as span events first (`gen_ai.user.message`, `gen_ai.choice`, and before these
`gen_ai.content.prompt`), or as attributes (`gen_ai.prompt`, also flattened as
`gen_ai.prompt.0.role`); now they are the attributes `gen_ai.input.messages` and
`gen_ai.output.messages`, also on one event.
"""

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import JsonValue

from api.otlp.values import Attributes, given, listed, structured, under
from core.ids import SpanKind

_KINDS = {
    "chat": SpanKind.LLM,
    "text_completion": SpanKind.LLM,
    "generate_content": SpanKind.LLM,
    "embeddings": SpanKind.EMBEDDING,
    "execute_tool": SpanKind.TOOL,
    "invoke_agent": SpanKind.AGENT,
    "create_agent": SpanKind.AGENT,
    "invoke_workflow": SpanKind.CHAIN,
    "retrieval": SpanKind.RETRIEVER,
}
_TELLING = (
    ("gen_ai.tool.name", SpanKind.TOOL),
    ("gen_ai.request.model", SpanKind.LLM),
    ("gen_ai.response.model", SpanKind.LLM),
    ("gen_ai.agent.name", SpanKind.AGENT),
)
_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_PARAMETERS = ("gen_ai.request.", "gen_ai.openai.request.")
_USAGE = {
    "prompt_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "completion_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "total_tokens": ("gen_ai.usage.total_tokens",),
    "cache_read_input_tokens": ("gen_ai.usage.cache_read.input_tokens",),
    "cache_creation_input_tokens": ("gen_ai.usage.cache_creation.input_tokens",),
    "reasoning_output_tokens": ("gen_ai.usage.reasoning.output_tokens",),
}

Fields = dict[str, JsonValue]


class Event(NamedTuple):
    name: str
    time: str | None
    attributes: dict[str, JsonValue]


def read(attributes: Attributes, events: Sequence[Event]) -> tuple[Fields, list[Event]]:
    """What the span says under these conventions, and the events that say something else."""
    operation = attributes.peek("gen_ai.operation.name")
    kind = _KINDS.get(operation) if isinstance(operation, str) else None
    if kind is None:
        kind = next((k for name, k in _TELLING if attributes.peek(name) is not None), None)
    messages = _Messages(events)
    asked = _asked(attributes, messages)
    answered = _answered(attributes, messages)
    fields = given(
        kind=kind,
        # What `execute_tool find_order` ran is `find_order`.
        name=attributes.take("gen_ai.tool.name") if kind is SpanKind.TOOL else None,
        model=_model(attributes),
        input=asked,
        output=answered,
        token_usage=_usage(attributes),
        model_parameters=_parameters(attributes),
        session_id=attributes.take_text("gen_ai.conversation.id"),
        first_token_seconds=attributes.take("gen_ai.response.time_to_first_chunk"),
        cost=attributes.take("gen_ai.usage.cost"),
    )
    if (tools := attributes.peek("gen_ai.tool.definitions")) is not None:
        attributes.left["gen_ai.tool.definitions"] = structured(tools)
    return fields, messages.others


class _Messages:
    """The messages among a span's events."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.asked: list[JsonValue] = []
        self.answered: list[JsonValue] = []
        self.details = Attributes({})
        self.others: list[Event] = []
        for event in events:
            self._add(event)

    def _add(self, event: Event) -> None:
        if event.name in _ROLES:
            self.asked.append({"role": _ROLES[event.name], **_body(event)})
        elif event.name == "gen_ai.choice":
            self.answered.append(_choice(_body(event)))
        elif event.name == "gen_ai.content.prompt":
            self.asked += _messages(event.attributes.get("gen_ai.prompt"), "user")
        elif event.name == "gen_ai.content.completion":
            self.answered += _messages(event.attributes.get("gen_ai.completion"), "assistant")
        elif event.name == "gen_ai.client.inference.operation.details":
            self.details = Attributes(event.attributes)
        else:
            self.others.append(event)


def _body(event: Event) -> Fields:
    """An event's own content: its attributes, or the object that one of them holds."""
    content = structured(event.attributes.get("gen_ai.event.content"))
    said = content if isinstance(content, dict) else event.attributes
    dropped = ("gen_ai.system", "gen_ai.provider.name", "gen_ai.event.content")
    return {k: _unless_text(k, v) for k, v in said.items() if k not in dropped and v is not None}


def _unless_text(name: str, value: JsonValue) -> JsonValue:
    """What a person or model wrote stays the text it is, also where it looks like JSON."""
    return value if name == "content" else structured(value)


def _choice(body: Fields) -> JsonValue:
    message = body.get("message")
    said = message if isinstance(message, dict) else {"content": message} if message else body
    kept = given(finish_reason=body.get("finish_reason"))
    return {"role": "assistant"} | {k: v for k, v in said.items() if k != "index"} | kept


def _messages(value: JsonValue, role: str) -> list[JsonValue]:
    """One text, one message, or a list of them."""
    value = structured(value)
    if value is None:
        return []
    found = value if isinstance(value, list) else [value]
    return [one if isinstance(one, dict) else {"role": role, "content": one} for one in found]


def _asked(attributes: Attributes, events: _Messages) -> JsonValue:
    system = _instructions(attributes, events.details)
    current = attributes.take("gen_ai.input.messages")
    current = events.details.take("gen_ai.input.messages") if current is None else current
    found = _messages(current, "user") or events.asked or _previous(attributes, "prompt", "user")
    if system or found:
        return {"messages": [*system, *found]}
    return structured(attributes.take("gen_ai.tool.call.arguments", "gen_ai.retrieval.query.text"))


def _instructions(attributes: Attributes, details: Attributes) -> list[JsonValue]:
    given_here = attributes.take("gen_ai.system_instructions")
    value = structured(
        details.take("gen_ai.system_instructions") if given_here is None else given_here
    )
    if not value:
        return []
    if isinstance(value, list):
        return [{"role": "system", "parts": value}]
    return [{"role": "system", "content": value}]


def _answered(attributes: Attributes, events: _Messages) -> JsonValue:
    current = attributes.take("gen_ai.output.messages")
    current = events.details.take("gen_ai.output.messages") if current is None else current
    found = _messages(current, "assistant") or events.answered
    found = found or _previous(attributes, "completion", "assistant")
    if found:
        return {"messages": found}
    return structured(attributes.take("gen_ai.tool.call.result", "gen_ai.retrieval.documents"))


def _previous(attributes: Attributes, noun: str, role: str) -> list[JsonValue]:
    """`gen_ai.prompt`, or `gen_ai.prompt.0.content` and its like."""
    flat = listed(attributes.take_under(f"gen_ai.{noun}."))
    whole = _messages(attributes.take(f"gen_ai.{noun}"), role)
    return whole or [_unflattened(one, role) for one in flat]


def _unflattened(flat: Fields, role: str) -> JsonValue:
    calls: list[JsonValue] = [
        {name: structured(value) for name, value in call.items()}
        for call in listed(under(flat, "tool_calls."))
    ]
    message = {k: v for k, v in flat.items() if not k.startswith("tool_calls.")}
    return {"role": role} | message | ({"tool_calls": calls} if calls else {})


def _model(attributes: Attributes) -> JsonValue:
    """The one that answered; the one that was asked for stays with the parameters."""
    asked = attributes.peek("gen_ai.request.model")
    answered = attributes.take("gen_ai.response.model")
    if answered is None or answered == asked:
        attributes.take("gen_ai.request.model")
    return asked if answered is None else answered


def _usage(attributes: Attributes) -> JsonValue:
    found = given(**{name: attributes.take(*names) for name, names in _USAGE.items()})
    return found or None


def _parameters(attributes: Attributes) -> JsonValue:
    found: Fields = {}
    for prefix in _PARAMETERS:
        found |= attributes.take_under(prefix)
    return found or None
