"""Matches the request, the answer and the span of each tool call.

Spans are matched with requests by id, then by name and arguments, then by name. Spans without the
name of a tool are matched by order.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from pydantic import JsonValue

from core.ids import SpanKind
from core.json_codec import canonical
from core.trace_model import Span
from evals.transcript.call_evidence import CallEvidence, CallEvidences
from evals.transcript.call_requests import Requests
from evals.transcript.compact_json import compact, decoded_arguments
from evals.transcript.message import Message
from evals.transcript.span_tree import Parents, ancestors
from evals.transcript.tool_names import tool_name
from evals.transcript.turns import Turn

_ID_KEYS = ("gen_ai.tool.call.id", "tool_call_id", "tool_call.id", "ai.toolCall.id", "call_id",
            "toolCallId", "tool.call.id", "tool.id", "tool_use_id")  # fmt: skip


def match_calls(
    spans: Sequence[Span],
    parents: Parents,
    turns: Mapping[int, Turn],
    own_request: str,
    offered: Iterable[str],
) -> CallEvidences:
    """The evidence of each call, in time linear in the number of spans and requests.

    `own_request`: the user message that this trace answers; empty if unknown. Calls in a history
    before that message belong to earlier traces.
    """
    requests = Requests(own_request)
    for place, turn in turns.items():
        requests.read(place, turn)
    known = {name.lower(): name for name in offered}
    known.update((one.name.lower(), one.name) for one in requests.found)
    by_span = _match_spans(spans, parents, known, requests.found)
    own = [one for one in dict.fromkeys(by_span.values()) if one.request is None]
    requests.answers.update(_match_orphans(requests.orphans, own, spans))
    return CallEvidences(
        [*own, *requests.found], by_span, requests.by_request, frozenset(requests.answers)
    )


def _match_spans(
    spans: Sequence[Span],
    parents: Parents,
    known: Mapping[str, str],
    requests: Sequence[CallEvidence],
) -> dict[int, CallEvidence]:
    names = {
        place: tool_name(span.name, known)
        for place, span in enumerate(spans)
        if span.kind is SpanKind.TOOL
    }
    inner = {
        place: outer
        for place in names
        if (outer := _same_call_around(spans, parents, names, place)) is not None
    }
    index = _Index([one for one in requests if not one.earlier])
    matched: dict[int, CallEvidence] = {}
    for exact in (True, False):
        for place, name in names.items():
            if place in inner or place in matched:
                continue
            keys = _exact_keys(spans[place], name) if exact else _loose_keys(name)
            asked = index.take(keys)
            if asked is not None:
                asked.span_place = place
                matched[place] = asked
    by_span: dict[int, CallEvidence] = {}
    for place, name in names.items():
        if place in inner:
            # The outer span started earlier, so its evidence already exists.
            by_span[place] = by_span[inner[place]]
            by_span[place].inner_places.append(place)
        else:
            by_span[place] = matched.get(place) or CallEvidence(
                name or spans[place].name, span_place=place
            )
    return by_span


def _match_orphans(
    answers: Iterable[Message], calls: Iterable[CallEvidence], spans: Sequence[Span]
) -> Iterator[int]:
    """Assigns answers to spans of calls without a recorded request.

    Yields the identities of the matched answers.
    """
    waiting: dict[_Key, deque[CallEvidence]] = {}
    for call in calls:
        span = spans[call.span_place or 0]
        for text in {compact(span.output), (span.error or "").strip()} - {""}:
            waiting.setdefault(("text", text, None), deque()).append(call)
        if span.output is None:
            waiting.setdefault(("name", call.name, None), deque()).append(call)
    for answer in answers:
        for key in (("text", answer.text, None), ("name", answer.name, None)):
            found = waiting.get(key)
            while found and found[0].answer is not None:
                found.popleft()
            if found:
                found.popleft().answer = answer
                yield id(answer)
                break


_Key = tuple[str, Hashable, Hashable]


def _exact_keys(span: Span, name: str) -> list[_Key]:
    keys: list[_Key] = []
    for key in _ID_KEYS:
        call_id = span.metadata.get(key)
        if isinstance(call_id, str) and call_id:
            keys.append(("id", call_id, name))
            break
    arguments = arguments_of(span)
    if arguments is not None:
        keys.append(("arguments", name, canonical(arguments)))
    return keys


def _loose_keys(name: str) -> list[_Key]:
    return [("name", name, None)] if name else [("any", None, None)]


class _Index:
    """Requests without a span, indexed by all properties that a span may state about its call."""

    def __init__(self, requests: Iterable[CallEvidence]) -> None:
        self._waiting: dict[_Key, deque[CallEvidence]] = {}
        for one in requests:
            for key in self._keys(one):
                self._waiting.setdefault(key, deque()).append(one)

    @staticmethod
    def _keys(evidence: CallEvidence) -> Iterable[_Key]:
        if evidence.request is None:
            return
        arguments = canonical(evidence.request.arguments)
        for name in (evidence.name, ""):
            if evidence.request.id is not None:
                yield ("id", evidence.request.id, name)
            yield ("arguments", name, arguments)
        yield ("name", evidence.name, None)
        yield ("any", None, None)

    def take(self, keys: Iterable[_Key]) -> CallEvidence | None:
        for key in keys:
            waiting = self._waiting.get(key)
            while waiting:
                one = waiting.popleft()
                if one.span_place is None:
                    return one
        return None


def _same_call_around(
    spans: Sequence[Span], parents: Parents, names: Mapping[int, str], place: int
) -> int | None:
    """The outer span, if two tracers recorded the same call."""
    outer = next((above for above in ancestors(parents, place) if above in names), None)
    if outer is None or outer >= place:
        return None
    if names[place] and names[outer] and names[place].lower() != names[outer].lower():
        return None
    given, around = arguments_of(spans[place]), arguments_of(spans[outer])
    return outer if given is None or around is None or given == around else None


def arguments_of(span: Span) -> JsonValue:
    """The arguments, without the wrappers that some tracers put around them."""
    value = decoded_arguments(span.input)
    if isinstance(value, dict) and len(value) == 1:
        for key in ("arguments", "args", "input", "kwargs", "tool_input", "parameters"):
            inner = decoded_arguments(value.get(key))
            if isinstance(inner, dict):
                return inner
    return None if value == "" else value
