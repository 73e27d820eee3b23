"""Who said what in a trace, each thing once.

Agents that call a model per step send the whole history each time. What a span
adds is what a reader needs; the rest was shown before.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from core.ids import SpanKind
from core.records import Span
from evals.compact import compact
from evals.messages import Message, messages_of

_Key = tuple[object, ...]


class Spoken(NamedTuple):
    """What one LLM span adds. None: that side held no messages, show the value itself."""

    heard: tuple[Message, ...] | None
    said: tuple[Message, ...] | None


def spoken(spans: Sequence[Span]) -> dict[int, Spoken]:
    """What each LLM span adds to the conversation, by its place in `spans`."""
    log = _Log()
    return {place: log.read(span) for place, span in enumerate(spans) if span.kind is SpanKind.LLM}


class _Log:
    def __init__(self) -> None:
        self._said: list[_Key] = []
        self._counts: Counter[_Key] = Counter()
        self._systems: set[str] = set()

    def read(self, span: Span) -> Spoken:
        heard = _side(span.input, "user")
        new = None if heard is None else tuple(self._new(heard))
        said = _side(span.output, "assistant")
        for message in said or ():
            self._note(_key(message))
        return Spoken(new, None if said is None else tuple(said))

    def _note(self, key: _Key) -> None:
        self._said.append(key)
        self._counts[key] += 1

    def _new(self, heard: list[Message]) -> list[Message]:
        added: list[Message] = []
        rest: list[Message] = []
        for message in heard:
            if message.role != "system":
                rest.append(message)
            elif message.text not in self._systems:
                self._systems.add(message.text)
                added.append(message)
        keys = [_key(message) for message in rest]
        fresh = self._beyond_history(keys) if _is_history(rest) else self._beyond_tail(keys)
        for place in fresh:
            self._note(keys[place])
            added.append(rest[place])
        return added

    def _beyond_history(self, keys: list[_Key]) -> list[int]:
        """A history repeats what was said as often as it was said: only more is new."""
        met: Counter[_Key] = Counter()
        fresh: list[int] = []
        for place, key in enumerate(keys):
            met[key] += 1
            if met[key] > self._counts[key]:
                fresh.append(place)
        return fresh

    def _beyond_tail(self, keys: list[_Key]) -> list[int]:
        """Without the model's own words it is no history: a second "yes" is a new "yes".

        Only what was said last and stands here again, in the same order, is a repeat.
        """
        for size in range(min(len(keys), len(self._said)), 0, -1):
            if self._said[-size:] == keys[:size]:
                return list(range(size, len(keys)))
        return list(range(len(keys)))


def _is_history(messages: Sequence[Message]) -> bool:
    return any(message.role == "assistant" for message in messages)


def _key(message: Message) -> _Key:
    requests = tuple((one.name, compact(one.arguments)) for one in message.requests)
    return (message.role, message.text, requests)


def _side(value: object, role: str) -> list[Message] | None:
    if isinstance(value, str):
        found = messages_of(value, role) if value.lstrip()[:1] in ("{", "[") else None
        return found or ([Message(role, value.strip())] if value.strip() else None)
    return messages_of(value, role) if isinstance(value, dict | list) else None
