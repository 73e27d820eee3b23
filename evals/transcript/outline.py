"""The outline of a trace: numbered steps with labelled texts, which rendering writes.

Each long text appears once. If a framework records it again (a root span's input, a tool's answer
in the next model call, a repeated result), a short reference takes its place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from pydantic import JsonValue

from core.ids import SpanKind, SpanStatus
from core.trace_model import Span
from core.truncation import one_line
from evals.transcript.compact_json import compact, lay_out
from evals.transcript.ending import ending
from evals.transcript.facts import Facts
from evals.transcript.messages import Message, messages_of
from evals.transcript.numbering import MessageStep, Slot
from evals.transcript.plain_text import plain_text
from evals.transcript.span_tree import depths
from evals.transcript.timing import durations, trace_header
from evals.transcript.tool_calls import ToolCall, error_of

_MAX_NAME = 160
# A reference has about 20 characters and interrupts the reader, so it must save more than its
# length.
_MIN_REFERRED = 80
_MAX_DEPTH_SHOWN = 12
_MODEL_KINDS = (SpanKind.LLM, SpanKind.TOOL)


class Weight(IntEnum):
    """The order in which texts are shortened if a trace does not fit: lowest value first."""

    OUTPUT = 0
    INPUT = 1
    KEPT = 2


@dataclass(slots=True)
class Piece:
    """`stand_in`: a reference that is written in place of `text`.

    The first `kept` characters are never left out. `left_out` characters are missing between `text`
    and `tail`.
    """

    label: str
    text: str
    weight: Weight
    stand_in: str = ""
    left_out: int = 0
    tail: str = ""
    kept: int = 0


@dataclass(slots=True)
class Step:
    """`header` is trusted text; `name` comes from the trace.

    `tool`: the called tool, if any; `error`: the error, if any.
    """

    header: str
    name: str = ""
    pieces: list[Piece] = field(default_factory=list)
    tool: str | None = None
    error: str | None = None


@dataclass(slots=True)
class Outline:
    header: str
    name: str
    tools: list[Piece]
    steps: list[Step]
    ending: str

    def pieces(self) -> Iterator[Piece]:
        yield from self.tools
        for step in self.steps:
            yield from step.pieces


def outline(facts: Facts) -> Outline:
    return _Writer(facts).write()


class _Writer:
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._trace = facts.trace
        self._slots = facts.numbering.slots
        self._depths = depths(facts.parents)
        # The step and the label under which each text was first written.
        self._shown: dict[str, tuple[int, str]] = {}
        self._model = ""
        self._names: dict[tuple[str, str | None], str] = {}
        self._durations = durations(self._trace.spans, facts.parents)

    def write(self) -> Outline:
        steps = [self._step(slot) for slot in self._slots]
        # Agent spans come last, because they only repeat the texts of the steps inside them.
        for around in (False, True):
            for slot, step in zip(self._slots, steps, strict=True):
                if self._is_around(slot) is around:
                    step.pieces = list(self._pieces(slot))
        _keep_the_answer(steps)
        return Outline(
            trace_header(self._trace, len(steps)),
            one_line(self._trace.name, _MAX_NAME) or "unnamed",
            [Piece("", str(tool), Weight.INPUT, kept=len(tool.name)) for tool in self._facts.tools],
            steps,
            ending(self._facts),
        )

    def _is_around(self, slot: Slot) -> bool:
        return slot.own and not slot.messages and slot.kind not in _MODEL_KINDS

    def _span(self, slot: Slot) -> Span | None:
        return None if slot.place is None else self._trace.spans[slot.place]

    def _step(self, slot: Slot) -> Step:
        parts = [f"[{slot.number}]"]
        span = self._span(slot) if slot.own else None
        depth = 0
        if slot.place is not None:
            depth = min(_MAX_DEPTH_SHOWN, max(0, self._depths[slot.place] - 1))
        parts += [">" * depth] if depth else []
        parts.append(slot.kind)
        parts += _flags(span, slot.call)
        if span is not None and slot.place in self._durations:
            parts.append(self._durations[slot.place])
        steps = [self._facts.numbering.call_steps.get(id(one)) for one in slot.asked]
        if any(steps):
            parts.append(f"-> {', '.join(f'[{step}]' for step in dict.fromkeys(steps) if step)}")
        name = self._name(slot, span)
        tool = one_line(name, 80) if slot.kind == SpanKind.TOOL else None
        failure = slot.call.error if slot.call is not None else None
        if span is not None and slot.call is None:
            failure = error_of(span)
        return Step(" ".join(parts), name, tool=tool, error=failure)

    def _name(self, slot: Slot, span: Span | None) -> str:
        if slot.call is not None:
            return one_line(slot.call.name, _MAX_NAME) or "unnamed"
        if span is None:
            speaker = slot.messages[0].name if slot.messages else None
            return one_line(speaker, 80) if speaker else ""
        key = (span.name, span.model)
        name = self._names.get(key)
        if name is None:
            name = one_line(span.name, _MAX_NAME) or "unnamed"
            if span.model and span.model not in name:
                name = f"{name} {one_line(span.model, 80)}"
            self._names[key] = name
        if span.kind is SpanKind.LLM:
            # Most agents call one model repeatedly, so its name is written once.
            known, self._model = self._model, name
            return "" if name == known else name
        return name

    def _pieces(self, slot: Slot) -> Iterator[Piece]:
        span = self._span(slot) if slot.own else None
        if slot.kind in (MessageStep.INPUT, MessageStep.OUTPUT):
            value = self._trace.input if slot.kind == MessageStep.INPUT else self._trace.output
            yield self._piece("", compact(value), slot.number, Weight.KEPT)
        elif slot.call is not None:
            yield from self._call(slot.call, slot.number)
        elif slot.kind == SpanKind.LLM and span is not None:
            yield from self._model_call(slot, span)
        elif slot.messages:
            yield from self._messages(slot)
        elif span is not None and span.kind is not SpanKind.TOOL:
            yield from self._other(slot.number, span)
        if (
            span is not None
            and slot.call is None
            and (span.error or span.status is SpanStatus.ERROR)
        ):
            yield Piece("error", _without_label(error_of(span) or ""), Weight.KEPT)

    def _call(self, call: ToolCall, number: int) -> Iterator[Piece]:
        arguments = compact(call.arguments)
        if arguments:
            self._shown.setdefault(arguments, (number, "arguments"))
            yield Piece("arguments", lay_out(arguments), Weight.INPUT)
        error = call.error
        told = error is not None and call.result.startswith(error)
        if call.result:
            weight = Weight.KEPT if told else Weight.OUTPUT
            yield self._piece("result", call.result, number, weight)
        if error is not None and not told:
            yield Piece("error", _without_label(error), Weight.KEPT)

    def _model_call(self, slot: Slot, span: Span) -> Iterator[Piece]:
        turn = self._facts.turns.get(slot.place if slot.place is not None else -1)
        if turn is None or turn.heard is None:
            yield from self._value("input", span.input, slot.number, Weight.INPUT)
        yield from self._messages(slot)
        if turn is None or turn.said is None:
            yield from self._value("output", span.output, slot.number, Weight.OUTPUT)

    def _messages(self, slot: Slot) -> Iterator[Piece]:
        for message in slot.messages:
            if message.thought:
                yield self._piece("thinking", message.thought, slot.number, Weight.OUTPUT)
            if message.text:
                yield self._piece(
                    _label(message, slot), message.text, slot.number, self._weight(message)
                )

    def _weight(self, message: Message) -> Weight:
        if message.role == "user":
            return Weight.KEPT if message.text == self._facts.request else Weight.INPUT
        return Weight.INPUT if message.role == "system" else Weight.OUTPUT

    def _other(self, number: int, span: Span) -> Iterator[Piece]:
        for label, value, weight in (
            ("input", span.input, Weight.INPUT),
            ("output", span.output, Weight.OUTPUT),
        ):
            text = compact(value)
            if text and label == "output" and span.kind is SpanKind.EMBEDDING:
                # A reader cannot use thousands of numbers.
                yield Piece(label, "", weight, stand_in="vectors, not shown")
            elif text and not self._is_shown(text, value):
                yield self._piece(label, text, number, weight)

    def _is_shown(self, text: str, value: JsonValue) -> bool:
        """Whether other steps show everything in this enclosing value."""
        if text in self._shown or (isinstance(value, dict) and len(value) == 1
                                   and plain_text(value) in self._shown):  # fmt: skip
            return True
        if not isinstance(value, dict | list):
            return False
        messages = [one for one in messages_of(value, "user") or () if one.text]
        texts = [one.text for one in messages]
        spoken = [one.text for one in messages if one.role != "tool"]
        # Answers of tools appear at their calls, where they may have another form.
        return bool(texts) and all(text in self._shown for text in spoken or texts)

    def _value(self, label: str, value: JsonValue, number: int, weight: Weight) -> Iterator[Piece]:
        text = compact(value)
        if text and text not in ("None", "null"):
            yield self._piece(label, text, number, weight)

    def _piece(self, label: str, text: str, number: int, weight: Weight) -> Piece:
        """The text at its first occurrence, a reference at later occurrences."""
        here = (number, label)
        first = self._shown.setdefault(text, here)
        stand_in = ""
        if first != here and len(text) >= _MIN_REFERRED:
            stand_in = f"{first[1] or 'text'} of [{first[0]}]"
        return Piece(label, lay_out(text), weight, stand_in)


def _label(message: Message, slot: Slot) -> str:
    if message.role == "tool":
        return "result"
    return "assistant" if slot.kind == SpanKind.LLM or slot.own else ""


def _flags(span: Span | None, call: ToolCall | None) -> Iterator[str]:
    if call is not None and call.earlier:
        yield "earlier"
    if (span is not None and span.status is SpanStatus.ERROR) or (
        call is not None and call.error is not None
    ):
        yield "ERROR"
    if call is not None and not call.carried_out:
        yield "unanswered"
    if span is not None and span.ended_at is None:
        yield "unfinished"


def _keep_the_answer(steps: Sequence[Step]) -> None:
    """Protects the last message of the agent from being shortened."""
    for step in reversed(steps):
        for piece in reversed(step.pieces):
            if piece.label in ("assistant", "output") or (
                not piece.label and " ASSISTANT" in step.header
            ):
                piece.weight = Weight.KEPT
                return


def _without_label(error: str) -> str:
    return error[6:].lstrip() if error[:6].lower() == "error:" else error
