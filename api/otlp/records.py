"""Spans and log records of OTLP, independent of their encoding."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import JsonValue

from api.otlp import limits

Fields = dict[str, JsonValue]


class Event(NamedTuple):
    """An event of a span, or a log record that belongs to one."""

    name: str
    time_ns: int
    attributes: Fields


@dataclass(slots=True)
class SpanRecord:
    """Ids are unchanged; an invalid id has the wrong length."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    start_ns: int
    end_ns: int
    kind: int = 0
    flags: int = 0
    trace_state: str = ""
    status_code: int = 0
    status_message: str = ""
    attributes: Fields = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    links: list[Fields] = field(default_factory=list)


@dataclass(slots=True)
class LogRecord:
    trace_id: bytes
    span_id: bytes
    event: Event


class Refusal(NamedTuple):
    """A rejected span or log record. `name` is empty if it cannot be read."""

    name: str
    reason: str


@dataclass(slots=True)
class Group:
    """The spans of one instrumentation scope of one resource."""

    resource: Fields
    scope: str
    spans: list[SpanRecord] = field(default_factory=list)
    logs: list[LogRecord] = field(default_factory=list)


@dataclass(slots=True)
class Export:
    """The content of one request."""

    groups: list[Group] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    """Dropped parts of spans, by kind."""
    kept: int = 0

    @property
    def room(self) -> int:
        """The number of further spans or log records that this request may hold."""
        return limits.MAX_SPANS - self.kept

    def refuse(self, count: int) -> None:
        """Counts rejected spans or log records."""
        self.refused += [Refusal("", limits.TOO_MANY)] * count

    def keep(self, attributes: int, events: int, links: int) -> None:
        """Counts a span with its attributes, events and links, and its dropped parts."""
        self.kept += 1
        for name, count, most in (
            ("attributes", attributes, limits.MAX_ATTRIBUTES),
            ("events", events, limits.MAX_EVENTS),
            ("links", links, limits.MAX_LINKS),
        ):
            if count > most:
                self.dropped[name] += count - most

    def spans(self) -> Iterator[tuple[Group, SpanRecord]]:
        for group in self.groups:
            for span in group.spans:
                yield group, span
