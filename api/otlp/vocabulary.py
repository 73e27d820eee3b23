"""The interface of vocabularies: from the attributes and events of one span to a reading."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from api.otlp.records import Event, Fields
from api.otlp.values import Attributes
from core.ids import SpanKind


class Events:
    """The events of a span for several readers; events that no reader took become metadata."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._taken: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._events)

    def peek(self, name: str) -> Event | None:
        return next((event for event in reversed(self._events) if event.name == name), None)

    def take(self, names: Iterable[str]) -> list[Event]:
        wanted = frozenset(names)
        found = [place for place, event in enumerate(self._events) if event.name in wanted]
        self._taken.update(found)
        return [self._events[place] for place in found]

    @property
    def heads(self) -> set[str]:
        """The first words of the dotted names."""
        return {event.name.partition(".")[0] for event in self._events}

    @property
    def left(self) -> list[Event]:
        return [event for place, event in enumerate(self._events) if place not in self._taken]


@dataclass(frozen=True, slots=True)
class SpanSource:
    """One span as input for vocabularies."""

    scope: str
    name: str
    attributes: Attributes
    events: Events


@dataclass(slots=True)
class Reading:
    """A vocabulary's reading of a span; None for missing values.

    `kind_is_guessed`: the span does not name its kind, but other attributes suggest it. `tools`:
    the tools on offer. `metadata`: metadata of the trace.
    """

    kind: SpanKind | None = None
    kind_is_guessed: bool = False
    name: str | None = None
    input: JsonValue = None
    output: JsonValue = None
    model: str | None = None
    model_parameters: JsonValue = None
    token_usage: JsonValue = None
    cost: JsonValue = None
    error: str | None = None
    is_error: bool = False
    first_token_seconds: JsonValue = None
    completion_start_time: str | None = None
    tools: JsonValue = None
    session_id: str | None = None
    user_id: str | None = None
    environment: str | None = None
    release: str | None = None
    tags: list[JsonValue] = field(default_factory=list)
    metadata: Fields = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The vocabulary of one tracer.

    `heads`: the first words of the known attributes and events; a span without any of them is
    skipped. If two vocabularies read the same field, the lower `rank` wins: common conventions come
    after the vocabularies of single tracers.
    """

    name: str
    heads: frozenset[str]
    read: Callable[[SpanSource], Reading | None]
    rank: int = 0
