"""The tool calls of a trace, each counted once.

A call usually shows twice: as a request in a model's answer and as a TOOL span;
in traced histories a third time. A TOOL span is what happened, so it leads; a
request counts on its own only where no span carried it out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from pydantic import JsonValue

from core.ids import SpanKind, SpanStatus
from core.jsontext import canonical
from core.records import Span
from evals.compact import compact, decoded, one_line
from evals.conversation import Spoken
from evals.messages import Request
from evals.tree import Parents

_ERROR_WORDS = ("rror", "RROR", "xception", "XCEPTION", "raceback")
_ERROR_TEXT = re.compile(r"\W{0,3}(?:error|exception|traceback)\b\W", re.IGNORECASE)


@dataclass(frozen=True)
class ToolCall:
    """`step` is the number of its step in the rendered trace.

    `error` is None for a call that went well. `carried_out` is False for a call
    that a model asked for and no span and no answer shows.
    """

    name: str
    arguments: JsonValue
    result: str
    error: str | None
    step: int
    carried_out: bool = True

    @cached_property
    def key(self) -> bytes:
        """Equal for equal arguments, in whatever order they were written."""
        return canonical(self.arguments)


class Asked(NamedTuple):
    """A request in a model's answer, and the step it was made in."""

    step: int
    request: Request
    key: bytes


def named(calls: Sequence[ToolCall], limit: int = 3) -> str:
    """The first few with their steps, for a reason a person can follow."""
    told = ", ".join(f"[{call.step}] {one_line(call.name, 80)}" for call in calls[:limit])
    return f"{told} and {len(calls) - limit} more" if len(calls) > limit else told


class CallRecord(NamedTuple):
    """`at`: the call that a tool's step shows.

    `carried_out`: for a step of a model, the steps that did what it asked for.
    """

    calls: tuple[ToolCall, ...]
    at: Mapping[int, ToolCall]
    carried_out: Mapping[int, Sequence[int]]


def read_calls(spans: Sequence[Span], parents: Parents, spoken: Mapping[int, Spoken]) -> CallRecord:
    waiting = _requests(parents, spoken)
    at: dict[int, ToolCall] = {}
    links: dict[int, list[int]] = {}
    for place, span in enumerate(spans):
        if span.kind is not SpanKind.TOOL or _repeats_its_parent(spans, parents, place):
            continue
        call = _from_span(span, place + 1)
        at[call.step] = call
        asked_in = _take(waiting, call)
        if asked_in is not None:
            links.setdefault(asked_in, []).append(call.step)
    answers = _answers(spoken)
    calls = [*at.values(), *(_from_request(asked, answers) for asked in waiting)]
    return CallRecord(tuple(sorted(calls, key=lambda call: call.step)), at, links)


def _take(waiting: list[Asked], call: ToolCall) -> int | None:
    """The step that asked for this call: the same arguments before the same name alone."""
    same_name: int | None = None
    for place, asked in enumerate(waiting):
        if asked.request.name != call.name:
            continue
        if asked.key == call.key:
            return waiting.pop(place).step
        same_name = place if same_name is None else same_name
    return None if same_name is None else waiting.pop(same_name).step


def arguments_of(span: Span) -> JsonValue:
    """Without the wrappers that some tracers put around arguments."""
    value = decoded(span.input)
    if isinstance(value, dict) and len(value) == 1:
        for key in ("arguments", "args", "input", "kwargs", "tool_input"):
            inner = decoded(value.get(key))
            if isinstance(inner, dict):
                return inner
    return value


def error_of(span: Span) -> str | None:
    """What went wrong in a span; None when nothing did."""
    if span.error and span.error.strip():
        return span.error.strip()
    if span.status is SpanStatus.ERROR:
        return compact(span.output)[:500] or "no message"
    if span.kind is SpanKind.TOOL:
        return _error_in(span.output)
    return None


def _error_in(result: JsonValue) -> str | None:
    """Many tools report a failure as an ordinary answer."""
    # Most answers say nothing of an error and need no parsing.
    if isinstance(result, str) and not any(word in result for word in _ERROR_WORDS):
        return None
    value = decoded(result)
    if isinstance(value, str) and _ERROR_TEXT.match(value[:40]):
        return value.strip()[:500]
    if isinstance(value, dict):
        error = value.get("error")
        if error and error is not True:
            return compact(error)[:500]
        if value.get("isError") is True or value.get("is_error") is True or error is True:
            return compact(value)[:500]
    return None


def _repeats_its_parent(spans: Sequence[Span], parents: Parents, place: int) -> bool:
    """Two tracers around one tool: the inner span repeats the outer one."""
    above = parents[place]
    if above is None or above == place:
        return False
    outer, inner = spans[above], spans[place]
    return outer.kind is inner.kind and outer.name == inner.name and outer.input == inner.input


def _from_span(span: Span, step: int) -> ToolCall:
    return ToolCall(span.name, arguments_of(span), compact(span.output), error_of(span), step)


def _from_request(asked: Asked, answers: Mapping[str, str]) -> ToolCall:
    request = asked.request
    result = answers.get(request.id or "")
    return ToolCall(
        request.name,
        request.arguments,
        result or "",
        None if result is None else _error_in(result),
        asked.step,
        carried_out=result is not None,
    )


def _requests(parents: Parents, spoken: Mapping[int, Spoken]) -> list[Asked]:
    """Requests in models' own answers: a history repeats them, a wrapping span does too."""
    outer = {parents[place] for place in spoken}
    seen: set[str] = set()
    found: list[Asked] = []
    for place, turn in spoken.items():
        if place in outer:
            continue
        for message in turn.said or ():
            for request in message.requests:
                if request.id is not None and request.id in seen:
                    continue
                if request.id is not None:
                    seen.add(request.id)
                found.append(Asked(place + 1, request, canonical(request.arguments)))
    return found


def _answers(spoken: Mapping[int, Spoken]) -> dict[str, str]:
    """Tools' answers by the id of the request, as later histories carry them."""
    return {
        message.id: message.text
        for turn in spoken.values()
        for message in turn.heard or ()
        if message.role == "tool" and message.id
    }
