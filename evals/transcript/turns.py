"""The conversation in a trace, each message once.

Agents that call a model per step send the whole history each time. A reader needs only the messages
that a span adds.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pydantic import JsonValue

from core.ids import SpanKind
from core.json_codec import canonical
from core.trace_model import Trace
from evals.transcript.messages import Message, messages_of
from evals.transcript.span_tree import Parents, ancestors
from evals.transcript.tool_shapes import ToolCallRequest

TRACE = -1
"""The index of the trace's own input and output, if no span holds the conversation."""

_SPEAKING_KINDS = (SpanKind.AGENT, SpanKind.CHAIN, SpanKind.OTHER)
_SILENT = frozenset(("None", "null", "undefined"))
_UNSPOKEN = frozenset(("system", "tool", "request"))
_MAX_TAIL = 500

_Atom = tuple[object, ...]


class Turn(NamedTuple):
    """The messages that one span adds to the conversation.

    A side is None if it holds no messages; its value is shown instead.
    """

    heard: tuple[Message, ...] | None
    said: tuple[Message, ...] | None


def read_turns(trace: Trace, parents: Parents) -> dict[int, Turn]:
    """The messages that each speaking span adds to the conversation, by index.

    Model spans speak. If none of them holds a message, agent and chain spans speak; if these hold
    no message either, the trace itself speaks, at the index `TRACE`.
    """
    spans = trace.spans
    models = {
        place: (_side(span.input, "user"), _side(span.output, "assistant"))
        for place, span in enumerate(spans)
        if span.kind is SpanKind.LLM
    }
    if any(conversation or said for conversation, said in models.values()):
        return _without_repeats(models, parents)
    others = _outermost(
        {
            place: _structured(span.input, span.output)
            for place, span in enumerate(spans)
            if span.kind in _SPEAKING_KINDS
        },
        parents,
    )
    found = others or _outermost({TRACE: _structured(trace.input, trace.output)}, parents)
    return _without_repeats({**dict.fromkeys(models, (None, None)), **found}, parents)


_Sides = tuple[list[Message] | None, list[Message] | None]


def _structured(given: JsonValue, output: JsonValue) -> _Sides:
    conversation, outputs = (
        messages_of(value, role)
        if isinstance(value, dict | list) or (isinstance(value, str) and _is_json(value))
        else None
        for value, role in ((given, "user"), (output, "assistant"))
    )
    if conversation and not outputs and isinstance(output, str):
        outputs = _side(output, "assistant")
    return conversation, outputs


def _outermost(sides: Mapping[int, _Sides], parents: Parents) -> dict[int, _Sides]:
    """Spans that are not inside a speaking span.

    Spans inside a speaking span repeat its conversation.
    """
    outermost: dict[int, _Sides] = {}
    for place, (conversation, said) in sides.items():
        if not conversation and not said:
            continue
        if place == TRACE or not any(above in outermost for above in ancestors(parents, place)):
            outermost[place] = (conversation, said)
    return outermost


def _without_repeats(sides: Mapping[int, _Sides], parents: Parents) -> dict[int, Turn]:
    log = _Log()
    outer = _outer_models(sides, parents)
    said_within: dict[int, set[_Atom]] = {}
    for place, around in outer.items():
        said_within.setdefault(around, set()).update(_atoms_of(sides[place][1] or ()))
    turns: dict[int, Turn] = {}
    for place, (conversation, remaining) in sorted(sides.items()):
        above = outer.get(place)
        if above is not None and conversation is not None:
            conversation = _less(conversation, Counter(_atoms_of(sides[above][0] or ())))
        new = None if conversation is None else tuple(log.new(conversation))
        inner = said_within.get(place)
        if remaining is not None and inner:
            remaining = [rest for one in remaining if (rest := _rest(one, inner)) is not None]
        for atom in _atoms_of(remaining or ()):
            log.note(atom)
        turns[place] = Turn(new, None if remaining is None else tuple(remaining))
    return turns


def _outer_models(sides: Mapping[int, _Sides], parents: Parents) -> dict[int, int]:
    """The nearest speaking ancestor of each speaking span, for two tracers that recorded one
    call.
    """
    found: dict[int, int] = {}
    for place in sides:
        if place != TRACE:
            outer = next((one for one in ancestors(parents, place) if one in sides), None)
            if outer is not None:
                found[place] = outer
    return found


class _Log:
    """The conversation so far, in atoms: single texts and requests."""

    def __init__(self) -> None:
        self._said: list[_Atom] = []
        self._counts: Counter[_Atom] = Counter()

    def note(self, atom: _Atom) -> None:
        self._said.append(atom)
        self._counts[atom] += 1

    def new(self, conversation: Sequence[Message]) -> list[Message]:
        if any(message.role == "assistant" for message in conversation):
            return self._beyond_history(conversation)
        return self._beyond_tail(conversation)

    def _beyond_history(self, conversation: Sequence[Message]) -> list[Message]:
        """The new atoms of a history.

        A history repeats every atom, so only additional occurrences are new.
        """
        met: Counter[_Atom] = Counter()
        added: list[Message] = []
        for message in conversation:
            known: set[_Atom] = set()
            for atom in _atoms(message):
                met[atom] += 1
                if met[atom] <= self._counts[atom] or (message.role == "system" and met[atom] > 1):
                    known.add(atom)
            rest = _rest(message, known)
            if rest is not None:
                added.append(rest)
        for atom in _atoms_of(added):
            self.note(atom)
        return added

    def _beyond_tail(self, conversation: Sequence[Message]) -> list[Message]:
        """The new atoms of an input without assistant messages, which is not a history: a repeated
        "yes" is new.

        Only the last atoms, repeated in the same order, count as repetitions.
        """
        spoken = [_text_atom(message) for message in conversation if message.role not in _UNSPOKEN]
        known = left = self._overlap(spoken)
        met: Counter[_Atom] = Counter()
        added: list[Message] = []
        for message in conversation:
            atom = _text_atom(message)
            met[atom] += 1
            if message.role == "system":
                new = not self._counts[atom]
            elif message.role == "tool":
                # Attachments of a repeated message are repetitions too.
                new = not known or met[atom] > self._counts[atom]
            else:
                new, left = left <= 0, left - 1
            if new:
                added.append(message)
        for atom in _atoms_of(added):
            self.note(atom)
        return added

    def _overlap(self, atoms: Sequence[_Atom]) -> int:
        """The number of leading atoms that equal the last texts of the conversation, in order.

        Calls and their results may lie between these texts.
        """
        said = [atom for atom in self._said[-_MAX_TAIL:] if atom[0] not in _UNSPOKEN]
        for size in range(min(len(atoms), len(said)), 0, -1):
            if said[-size] == atoms[0] and said[-size:] == list(atoms[:size]):
                return size
        return 0


def _text_atom(message: Message) -> _Atom:
    return (message.role, message.text)


def _request_atom(request: ToolCallRequest) -> _Atom:
    return ("request", request.name, canonical(request.arguments))


def _atoms(message: Message) -> list[_Atom]:
    atoms = [_text_atom(message)] if message.text or message.role == "tool" else []
    return atoms + [_request_atom(request) for request in message.requests]


def _atoms_of(messages: Iterable[Message]) -> list[_Atom]:
    return [atom for message in messages for atom in _atoms(message)]


def _rest(message: Message, known: set[_Atom]) -> Message | None:
    """The message without its known atoms; None if no atom is new."""
    if not known:
        return message
    text = "" if _text_atom(message) in known else message.text
    requests = tuple(one for one in message.requests if _request_atom(one) not in known)
    if not text and not requests:
        return None
    return message._replace(text=text, requests=requests, thought="")


def _less(messages: Sequence[Message], known: Counter[_Atom]) -> list[Message]:
    kept: list[Message] = []
    for message in messages:
        gone = {atom for atom in _atoms(message) if known[atom] > 0}
        known.subtract(gone)
        rest = _rest(message, gone)
        if rest is not None:
            kept.append(rest)
    return kept


def _side(value: JsonValue, role: str) -> list[Message] | None:
    if isinstance(value, str):
        text = value.strip()
        if text in _SILENT:
            return None
        found = messages_of(value, role) if _is_json(text) else None
        return found or ([Message(role, text)] if text else None)
    return messages_of(value, role) if isinstance(value, dict | list) else None


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")
