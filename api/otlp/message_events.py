"""Messages in events: events of a span, of a log record, or in an attribute."""

from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from api.otlp.records import Event, Fields
from api.otlp.values import Attributes, given, structured

ROLES: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
CHOICE: Final = "gen_ai.choice"
PROMPT: Final = "gen_ai.content.prompt"
COMPLETION: Final = "gen_ai.content.completion"
DETAILS: Final = "gen_ai.client.inference.operation.details"
NAMES: Final = frozenset((*ROLES, CHOICE, PROMPT, COMPLETION, DETAILS))

_NOT_SAID: Final = frozenset(
    ("gen_ai.system", "gen_ai.provider.name", "gen_ai.event.content", "event.name")
)
_BLOCKS: Final = frozenset(
    (
        *("text", "toolUse", "toolResult", "image", "document", "video", "reasoningContent"),
        *("json", "cachePoint", "guardContent", "citationsContent"),
    )
)


class MessageEvents:
    """`asked` and `answered` are messages; `details` holds attributes that one event carries."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.asked: list[JsonValue] = []
        self.answered: list[JsonValue] = []
        self.tool_input: JsonValue = None
        details: Fields = {}
        for event in events:
            if event.name == DETAILS:
                details |= event.attributes
            else:
                self._add(event.name, event.attributes)
        self.details = Attributes(details)

    def _add(self, name: str, attributes: Fields) -> None:
        if name in ROLES:
            said = body(attributes)
            if name == "gen_ai.tool.message":
                self.tool_input = said.get("content")
            self.asked.append({"role": ROLES[name], **said})
        elif name == CHOICE:
            self.answered.append(choice(body(attributes)))
        elif name == PROMPT:
            self.asked += messages(attributes.get("gen_ai.prompt"), "user")
        elif name == COMPLETION:
            self.answered += messages(attributes.get("gen_ai.completion"), "assistant")


def body(attributes: Fields) -> Fields:
    """The content of an event: its attributes, or the object in one of them."""
    content = structured(attributes.get("gen_ai.event.content") or attributes.get("body"))
    said = content if isinstance(content, dict) else attributes
    return {k: _value(k, v) for k, v in said.items() if k not in _NOT_SAID and v is not None}


def _value(name: str, value: JsonValue) -> JsonValue:
    """The value of an attribute.

    Text of a person or a model stays text, even if it looks like JSON.
    """
    return blocks(value) if name == "content" else structured(value)


def blocks(value: JsonValue) -> JsonValue:
    """The content blocks in a text; other text unchanged."""
    found = structured(value)
    if not isinstance(found, list) or not found:
        return value
    listed = all(isinstance(one, dict) and ("type" in one or one.keys() & _BLOCKS) for one in found)
    return found if listed else value


def choice(content: Fields) -> JsonValue:
    message = content.get("message")
    if isinstance(message, dict):
        spoken = message
    elif message:
        spoken = {"content": message}
    else:
        spoken = content
    kept = given(finish_reason=content.get("finish_reason"))
    return {"role": "assistant"} | {k: v for k, v in spoken.items() if k != "index"} | kept


def messages(value: JsonValue, role: str) -> list[JsonValue]:
    """Reads one text, one message, or a list of messages."""
    value = structured(value)
    if value is None:
        return []
    found = value if isinstance(value, list) else [value]
    return [one if isinstance(one, dict) else {"role": role, "content": one} for one in found]


def listed_events(value: JsonValue) -> list[Event]:
    """The events in an attribute: a list of objects with their names under `event.name`."""
    found = structured(value)
    return [
        Event(str(one["event.name"]), 0, one)
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, dict) and isinstance(one.get("event.name"), str)
    ]
