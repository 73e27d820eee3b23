"""Converts log records to events of spans."""

from pydantic import JsonValue

from api.otlp.records import Event, Fields
from api.otlp.values import structured


def event_of(name: str, time_ns: int, attributes: Fields, body: JsonValue) -> Event:
    """The event of a log record, whose content is in the body, the attributes, or both."""
    named = name or attributes.get("event.name")
    fields = {key: value for key, value in attributes.items() if key != "event.name"}
    content = structured(body)
    if isinstance(content, dict):
        fields |= content
    elif content is not None:
        fields.setdefault("content", content)
    return Event(str(named or ""), time_ns, fields)
