"""The tool calls of a trace, each counted once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import JsonValue

from core.ids import SpanKind, SpanStatus
from core.json_codec import canonical
from core.trace_model import Span
from core.truncation import one_line, truncate
from evals.transcript.call_evidence import CallEvidence
from evals.transcript.call_matching import arguments_of
from evals.transcript.compact_json import compact, decoded

_ERROR_WORDS = ("rror", "RROR", "xception", "XCEPTION", "raceback", '"success"')
_ERROR_TEXT = re.compile(r"\W{0,3}(?:\w*error|\w*exception|traceback)\b\W", re.IGNORECASE)
_MAX_ERROR = 500
_NO_MESSAGE = "no message"


@dataclass(frozen=True)
class ToolCall:
    """`step` is the number of its step in the transcript.

    `error` is None for a successful call. `carried_out` is False for a requested call without a
    span or an answer. `earlier`: the call belongs to the conversation before this trace, and no
    metric counts it.
    """

    name: str
    arguments: JsonValue
    result: str
    error: str | None
    step: int
    carried_out: bool = True
    earlier: bool = False

    @cached_property
    def key(self) -> bytes:
        """A text that is equal for equal tools and arguments, in any order of the arguments."""
        return canonical(self.arguments)


def named(calls: Sequence[ToolCall], limit: int = 3) -> str:
    """The first few calls with their steps, for the text of a reason."""
    told = ", ".join(f"[{call.step}] {one_line(call.name, 80)}" for call in calls[:limit])
    return f"{told} and {len(calls) - limit} more" if len(calls) > limit else told


def call_of(evidence: CallEvidence, spans: Sequence[Span], step: int) -> ToolCall:
    """Combines all evidence of a call; its spans take precedence over its messages."""
    places = [evidence.span_place, *evidence.inner_places]
    own = [spans[place] for place in places if place is not None]
    arguments = next((found for span in own if (found := arguments_of(span)) is not None), None)
    if arguments in (None, {}) and evidence.request is not None:
        arguments = evidence.request.arguments
    answer = evidence.answer
    result = next((text for span in own if (text := compact(span.output))), "")
    error = next((found for span in own if (found := error_of(span)) is not None), None)
    if answer is not None:
        result = result or answer.text
        if error in (None, _NO_MESSAGE):
            error = _error_of_answer(answer.text, failed=answer.failed) or error
    return ToolCall(
        evidence.name,
        arguments,
        result,
        error,
        step,
        carried_out=bool(own) or answer is not None,
        earlier=evidence.earlier,
    )


def error_of(span: Span) -> str | None:
    """The error of a span; None if the span succeeded."""
    if span.error and span.error.strip():
        return span.error.strip()
    if span.status is SpanStatus.ERROR:
        return truncate(compact(span.output), _MAX_ERROR) or _NO_MESSAGE
    if span.kind is SpanKind.TOOL:
        return error_in(span.output)
    return None


def _error_of_answer(text: str, *, failed: bool) -> str | None:
    return truncate(text, _MAX_ERROR) or _NO_MESSAGE if failed else error_in(text)


def error_in(result: JsonValue) -> str | None:
    """The error in an answer: many tools report a failure as an ordinary answer."""
    # Most answers do not mention an error and need no parsing.
    if isinstance(result, str) and not any(word in result for word in _ERROR_WORDS):
        return None
    value = decoded(result)
    if isinstance(value, str) and _ERROR_TEXT.match(value[:80]):
        return truncate(value.strip(), _MAX_ERROR)
    if isinstance(value, dict):
        error = value.get("error")
        if error and error is not True:
            return truncate(compact(error), _MAX_ERROR)
        status = value.get("status")
        if (
            value.get("isError") is True
            or value.get("is_error") is True
            or error is True
            or (isinstance(status, str) and status.lower() == "error")
        ):
            return truncate(compact(value), _MAX_ERROR)
        if value.get("success") is False:
            return truncate(compact(value.get("message") or value), _MAX_ERROR)
    return None
