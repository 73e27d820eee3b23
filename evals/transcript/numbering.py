"""Numbers the steps of a transcript, so that a judge can refer to each of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue

from core.ids import SpanKind
from core.trace_model import Span, Trace
from evals.transcript.call_evidence import CallEvidence, CallEvidences
from evals.transcript.compact_json import compact
from evals.transcript.messages import Message, messages_of
from evals.transcript.plain_text import plain_text
from evals.transcript.span_tree import Parents
from evals.transcript.tool_calls import ToolCall, call_of
from evals.transcript.turns import TRACE, Turn


class MessageStep(StrEnum):
    """Kinds of steps that are not spans.

    ASSISTANT: a message of an earlier turn, or text after a call within one answer.
    """

    SYSTEM = "SYSTEM"
    USER = "USER"
    ASSISTANT = "ASSISTANT"
    INPUT = "INPUT"
    OUTPUT = "OUTPUT"


_KINDS: Mapping[str, str] = {
    "system": MessageStep.SYSTEM,
    "user": MessageStep.USER,
    "assistant": MessageStep.ASSISTANT,
}


@dataclass(frozen=True, slots=True)
class Slot:
    """One step: a span, a message, a call without a span, or the trace's input or output.

    `place` is the index of the step's span, or None. `own` is False if the step is not a span
    itself. `messages` are the messages that the step shows, `asked` the calls that its model
    requests.
    """

    number: int
    kind: str
    place: int | None
    own: bool = False
    messages: tuple[Message, ...] = ()
    call: ToolCall | None = None
    asked: tuple[CallEvidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Numbering:
    """`call_steps` has the step of each call, by the identity of its evidence."""

    slots: tuple[Slot, ...]
    call_steps: Mapping[int, int] = field(default_factory=dict)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(slot.call for slot in self.slots if slot.call is not None)


def number_steps(
    trace: Trace, parents: Parents, turns: Mapping[int, Turn], calls: CallEvidences
) -> Numbering:
    """Steps in the order of the spans; a message comes before the span that first read it."""
    return _Numbering(trace, parents, turns, calls).number()


class _Numbering:
    def __init__(
        self, trace: Trace, parents: Parents, turns: Mapping[int, Turn], calls: CallEvidences
    ) -> None:
        self._trace = trace
        self._parents = parents
        self._turns = turns
        self._calls = calls
        self._slots: list[Slot] = []
        self._call_steps: dict[int, int] = {}

    def number(self) -> Numbering:
        texts = _texts(self._turns)
        if not _is_shown(self._trace.input, texts, "user"):
            self._add_input(set().union(*texts.values()))
        own = self._turns.get(TRACE)
        if own is not None:
            self._add_heard(TRACE, own)
        last = _last_descendants(self._parents)
        waiting: dict[int, list[int]] = {}
        for place, span in enumerate(self._trace.spans):
            if self._add_span(place, span, has_inner=last[place] > place):
                waiting.setdefault(last[place], []).append(place)
            # The output of an agent's span comes after the spans inside it.
            for outer in waiting.pop(place, ()):
                self._add_rest(outer, self._turns[outer].said or ())
        if own is not None:
            self._add_said(TRACE, own, MessageStep.ASSISTANT)
        elif not _is_shown(self._trace.output, texts, "assistant"):
            self._add(MessageStep.OUTPUT, None)
        return Numbering(tuple(self._slots), self._call_steps)

    def _add_input(self, shown: set[str]) -> None:
        """Adds the trace's input.

        Of its messages, adds only those that no recorded model call read.
        """
        messages = messages_of(self._trace.input, "user") or []
        rest = [one for one in messages if one.text and one.text not in shown]
        if not rest:
            self._add(MessageStep.INPUT, None)
        for message in rest:
            kind = _KINDS.get(message.role, SpanKind.TOOL.value)
            self._add(kind, None, messages=(message,))

    def _add_span(self, place: int, span: Span, *, has_inner: bool) -> bool:
        """Adds the steps of one span.

        Returns whether the span's output belongs after the spans inside it.
        """
        turn = self._turns.get(place)
        if turn is not None:
            self._add_heard(place, turn)
        if span.kind is SpanKind.TOOL:
            self._add_tool(place)
        elif turn is None or (has_inner and span.kind is not SpanKind.LLM):
            self._add(span.kind.value, place, own=True)
            return turn is not None
        else:
            self._add_said(place, turn, span.kind.value)
        return False

    def _add(
        self,
        kind: str,
        place: int | None,
        *,
        own: bool = False,
        messages: tuple[Message, ...] = (),
        call: CallEvidence | None = None,
    ) -> None:
        number = len(self._slots) + 1
        made: ToolCall | None = None
        if call is not None:
            self._call_steps[id(call)] = number
            made = call_of(call, self._trace.spans, number)
        asked = tuple(self._evidence(messages))
        behind = None if place == TRACE else place
        self._slots.append(Slot(number, kind, behind, own, messages, made, asked))

    def _evidence(self, messages: Sequence[Message]) -> Iterator[CallEvidence]:
        for message in messages:
            for request in message.requests:
                found = self._calls.by_request.get(id(request))
                if found is not None:
                    yield found

    def _add_heard(self, place: int, turn: Turn) -> None:
        for message in turn.heard or ():
            if message.role in ("system", "user"):
                self._add(_KINDS[message.role], place, messages=(message,))
            else:
                self._add_rest(place, (message,))

    def _add_said(self, place: int, turn: Turn, kind: str) -> None:
        """Adds the span's own step, then its calls without spans, and the text after them."""
        texts = list(turn.said or ())
        first: list[Message] = []
        while texts and texts[0].role != "tool" and not (first and first[-1].requests):
            first.append(texts.pop(0))
        if place != TRACE or first:
            self._add(kind, place, own=place != TRACE, messages=tuple(first))
        self._add_spanless(first, place)
        self._add_rest(place, texts)

    def _add_rest(self, place: int, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.role == "tool":
                if id(message) not in self._calls.answers:
                    self._add(SpanKind.TOOL.value, place, messages=(message,))
                continue
            if message.text or message.thought:
                self._add(MessageStep.ASSISTANT, place, messages=(message,))
            self._add_spanless((message,), place)

    def _add_spanless(self, messages: Sequence[Message], place: int) -> None:
        for evidence in self._evidence(messages):
            if evidence.span_place is None and id(evidence) not in self._call_steps:
                self._add(SpanKind.TOOL.value, place, call=evidence)

    def _add_tool(self, place: int) -> None:
        evidence = self._calls.by_span[place]
        first = evidence.span_place == place
        self._add(SpanKind.TOOL.value, place, own=True, call=evidence if first else None)


def _last_descendants(parents: Parents) -> list[int]:
    """For each index, the index of the last descendant, or the index itself without descendants."""
    last = list(range(len(parents)))
    for place in reversed(range(len(parents))):
        above = parents[place]
        if above is not None:
            last[above] = max(last[above], last[place])
    return last


def _texts(turns: Mapping[int, Turn]) -> dict[str, set[str]]:
    texts: dict[str, set[str]] = {"user": set(), "assistant": set()}
    for turn in turns.values():
        for message in (*(turn.heard or ()), *(turn.said or ())):
            texts.setdefault(message.role, set()).add(message.text)
    return texts


def _is_shown(value: JsonValue, texts: Mapping[str, set[str]], role: str) -> bool:
    """Whether the steps show everything in this input or output of the trace."""
    text = compact(value)
    if not text or text in texts[role] or plain_text(value) in texts[role]:
        return True
    known = set().union(*texts.values())
    said = messages_of(value, role) or []
    return bool(said) and all(not one.text or one.text in known for one in said)
