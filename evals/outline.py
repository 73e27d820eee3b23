"""A trace as a list of numbered steps with labelled texts: what rendering writes down.

Each text stands once. Where a framework records it again (a root span's input, a
tool's answer in the next model call, a repeated result) a short reference does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from pydantic import JsonValue

from core.ids import SpanKind, SpanStatus, TraceStatus
from core.records import Span, Trace
from evals.calls import ToolCall, arguments_of, error_of
from evals.compact import compact, one_line
from evals.facts import Facts
from evals.messages import Message, messages_of
from evals.tree import depths

_NAME_LENGTH = 160
# A shorter text costs less to repeat than to look up.
_WORTH_A_REFERENCE = 25


class Weight(IntEnum):
    """How soon a text is shortened when a trace does not fit: the lightest first."""

    OUTPUT = 0
    INPUT = 1
    KEPT = 2


@dataclass(slots=True)
class Piece:
    label: str
    text: str
    weight: Weight


@dataclass(slots=True)
class Step:
    """`tool` is the name of the tool it calls, if it calls one."""

    header: str
    pieces: list[Piece] = field(default_factory=list)
    tool: str | None = None

    @property
    def errors(self) -> list[str]:
        return [piece.text for piece in self.pieces if piece.label == "error"]


@dataclass(slots=True)
class Outline:
    header: str
    opening: list[Piece]
    steps: list[Step]
    closing: list[Piece]

    def pieces(self) -> Iterator[Piece]:
        yield from self.opening
        for step in self.steps:
            yield from step.pieces
        yield from self.closing


def outline(facts: Facts) -> Outline:
    return _Writer(facts).write()


class _Writer:
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._trace = facts.trace
        # Where each text stands: its step, and what it is called there.
        self._shown: dict[str, tuple[int, str]] = {}
        self._model = ""
        self._names: dict[tuple[str, str | None], str] = {}
        # Requests that no step of a tool shows; the others stand there, with their arguments.
        self._unanswered: dict[int, list[ToolCall]] = {}
        for call in facts.calls:
            if call.step not in facts.record.at:
                self._unanswered.setdefault(call.step, []).append(call)

    def write(self) -> Outline:
        spans = self._trace.spans
        levels = depths(self._facts.parents)
        steps = [
            Step(
                self._header(place + 1, span, max(0, levels[place] - 1)),
                tool=one_line(span.name, 80) if span.kind is SpanKind.TOOL else None,
            )
            for place, span in enumerate(spans)
        ]
        # Model and tool steps come first: an agent span around them only repeats their texts.
        for inner in (True, False):
            for place, span in enumerate(spans):
                if (span.kind in (SpanKind.LLM, SpanKind.TOOL)) is inner:
                    steps[place].pieces = list(self._pieces(place, span))
        opening, closing = self._ends(steps)
        return Outline(_trace_header(self._trace), opening, steps, closing)

    def _ends(self, steps: Sequence[Step]) -> tuple[list[Piece], list[Piece]]:
        opening = [Piece("tool on offer", str(tool), Weight.INPUT) for tool in self._facts.tools]
        closing: list[Piece] = []
        for label, value, pieces in (
            ("input", self._trace.input, opening),
            ("output", self._trace.output, closing),
        ):
            said = self._last_of_known_messages(value)
            text = compact(value) if said is None else said
            if text:
                pieces.append(self._piece(label, text, 0, Weight.KEPT))
        _keep((self._trace.input, self._trace.output), steps)
        return opening, closing

    def _header(self, number: int, span: Span, depth: int) -> str:
        parts = [f"[{number}] {'>' * depth}{' ' if depth else ''}{span.kind.value}"]
        name = self._name(span)
        # An agent calls the same model again and again: once is enough.
        if span.kind is not SpanKind.LLM or name != self._model:
            parts.append(name)
        if span.kind is SpanKind.LLM:
            self._model = name
        if span.status is SpanStatus.ERROR:
            parts.append("ERROR")
        if span.ended_at is None:
            parts.append("unfinished")
        else:
            parts.append(_duration(span.started_at, span.ended_at))
        done_in = self._facts.record.carried_out.get(number)
        if done_in:
            parts.append(f"-> {', '.join(f'[{step}]' for step in done_in)}")
        return " ".join(parts)

    def _name(self, span: Span) -> str:
        key = (span.name, span.model)
        name = self._names.get(key)
        if name is None:
            name = one_line(span.name, _NAME_LENGTH) or "unnamed"
            if span.model and span.model not in name:
                name = f"{name} {one_line(span.model, 80)}"
            self._names[key] = name
        return name

    def _pieces(self, place: int, span: Span) -> Iterator[Piece]:
        number = place + 1
        if span.kind is SpanKind.LLM:
            yield from self._talk(place, span)
        elif span.kind is SpanKind.TOOL:
            yield from self._use(number, span)
        else:
            yield from self._other(number, span)
        error = error_of(span) if span.error or span.status is SpanStatus.ERROR else None
        if error is not None:
            yield Piece("error", _without_label(error), Weight.KEPT)

    def _other(self, number: int, span: Span) -> Iterator[Piece]:
        for label, value, weight in (
            ("input", span.input, Weight.INPUT),
            ("output", span.output, Weight.OUTPUT),
        ):
            text = compact(value)
            if label == "output" and span.kind is SpanKind.EMBEDDING:
                # Numbers by the thousand that say nothing to a reader.
                text = text and "(vectors)"
            if text and text not in self._shown and self._last_of_known_messages(value) is None:
                yield self._piece(label, text, number, weight)

    def _last_of_known_messages(self, value: JsonValue) -> str | None:
        """The last message of a history all of which stands in the steps of models."""
        if not isinstance(value, dict | list):
            return None
        texts = [message.text for message in messages_of(value, "user") or () if message.text]
        return texts[-1] if texts and all(text in self._shown for text in texts) else None

    def _use(self, number: int, span: Span) -> Iterator[Piece]:
        call = self._facts.record.at.get(number)
        arguments = arguments_of(span) if call is None else call.arguments
        result = compact(span.output) if call is None else call.result
        yield from self._value("arguments", arguments, number, Weight.INPUT)
        if span.error and result == span.error.strip():
            # Shown as the error.
            self._shown.setdefault(result, (number, "error"))
        elif result:
            yield self._piece("result", result, number, Weight.OUTPUT)

    def _talk(self, place: int, span: Span) -> Iterator[Piece]:
        turn = self._facts.spoken[place]
        number = place + 1
        if turn.heard is None:
            yield from self._value("input", span.input, number, Weight.INPUT)
        for message in turn.heard or ():
            yield from self._message(message, number, Weight.INPUT)
        if turn.said is None:
            yield from self._value("output", span.output, number, Weight.OUTPUT)
        for message in turn.said or ():
            yield from self._message(message, number, Weight.OUTPUT)
        for call in self._unanswered.get(number, ()):
            text = f"{one_line(call.name, _NAME_LENGTH)} {compact(call.arguments)}"
            yield Piece("asks for", text, Weight.INPUT)

    def _message(self, message: Message, number: int, weight: Weight) -> Iterator[Piece]:
        text = message.text
        if message.role == "tool":
            # The step of the tool itself shows the answer.
            if text and text not in self._shown:
                label = f"answer of {one_line(message.name, 80)}" if message.name else "tool answer"
                yield self._piece(label, text, number, Weight.OUTPUT)
            return
        if not text:
            return
        if message.role == "user" and text == self._facts.request:
            weight = Weight.KEPT
        yield self._piece(message.role, text, number, weight)

    def _value(self, label: str, value: JsonValue, number: int, weight: Weight) -> Iterator[Piece]:
        text = compact(value)
        if text:
            yield self._piece(label, text, number, weight)

    def _piece(self, label: str, text: str, number: int, weight: Weight) -> Piece:
        """The text itself where it stands first, later a reference to that place."""
        here = (number, label)
        first = self._shown.setdefault(text, here)
        if first != here and len(text) >= _WORTH_A_REFERENCE:
            text = f"(same as {first[1]} in [{first[0]}])" if first[0] else f"(same as {first[1]})"
        return Piece(label, text, weight)


def _keep(ends: Sequence[JsonValue], steps: Sequence[Step]) -> None:
    """What the user gets to see in the end stays, wherever it stands."""
    texts = {compact(value) for value in ends}
    answer: Piece | None = None
    for step in steps:
        for piece in step.pieces:
            if piece.text in texts:
                piece.weight = Weight.KEPT
            if piece.label in ("assistant", "output"):
                answer = piece
    if answer is not None:
        answer.weight = Weight.KEPT


def _without_label(error: str) -> str:
    return error[6:].lstrip() if error[:6].lower() == "error:" else error


def _trace_header(trace: Trace) -> str:
    name = one_line(trace.name, _NAME_LENGTH) or "unnamed"
    parts = [f"Trace {name}: {trace.status.value}"]
    if trace.ended_at is not None:
        parts.append(_duration(trace.started_at, trace.ended_at))
    elif trace.status in (TraceStatus.PENDING, TraceStatus.RUNNING):
        parts.append("not finished")
    count = len(trace.spans)
    parts.append(f"{count} step{'' if count == 1 else 's'}")
    return ", ".join(parts)


def _duration(start: datetime, end: datetime) -> str:
    seconds = (end - start).total_seconds()
    if seconds < 0:
        return "0s"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.3g}s" if seconds < 600 else f"{seconds / 60:.0f}min"
