"""Faults that concern the request: a refused option, too many tokens, a rejected answer."""

import json
import re
from enum import StrEnum

from evals.judges.fault_meaning import RequestSent, meaning, without_quotes
from evals.judges.fault_parsing import Fault
from evals.judges.fault_patterns import Meaning, any_of


class Option(StrEnum):
    """A part of the request that a model may refuse independently of the question."""

    TEMPERATURE = "temperature"
    SHAPE = "shape"
    MAX_TOKENS = "max_tokens"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"


_REFUSED = (
    (Option.TEMPERATURE, any_of(r"temperature")),
    (
        Option.MAX_TOKENS,
        any_of(r"'max_tokens' is not supported", r"unsupported.{0,40}'?max_tokens",
             r"max_completion_tokens.{0,20} instead"),
    ),
    (Option.MAX_COMPLETION_TOKENS, any_of(r"max_completion_tokens")),
    (
        Option.SHAPE,
        any_of(
            r"response_?format", r"json_?schema", r"response_?schema", r"output_format",
            r"structured outputs?", r"\bschema\b", r"tool_?choice", r"\btools?\b",
            r"function[ _]call", r"grammar", r"json mode", r"does not support parameters",
        ),
    ),
)  # fmt: skip
_REFUSING = frozenset({400, 404, 415, 422, 500, 501})
# Messages about outages may mention tools or schemas; only these words name the requested option.
_REFUSED_BY_500 = any_of(r"response_?format", r"json_?schema", r"tool_?choice", r"grammar")


def refused_option(fault: Fault, sent: RequestSent) -> Option | None:
    """The option that the fault refuses; None for another fault."""
    if fault.status not in _REFUSING:
        return None
    text = without_quotes(fault.body, sent)
    refused = next((option for option, pattern in _REFUSED if pattern.search(text)), None)
    if refused is None or meaning(fault, sent) in _NOT_AN_OPTION:
        return None
    if fault.status >= 500 and not _REFUSED_BY_500.search(text):
        return None
    return refused


_NOT_AN_OPTION = frozenset(set(Meaning) - {Meaning.FAILED, Meaning.BUSY, Meaning.NO_MODEL})

_LIMITS = re.compile(
    r"(?:maximum(?: context)?(?: length| size| number| window)?[^.]{0,60}?|context window of"
    r"|limit:?|n_ctx\D{0,6}|context size \(|>)\s*\(?(\d[\d,]{2,})",
    re.IGNORECASE,
)
# The room that is left for the answer, as a number or a difference, or the model's longest answer.
_ROOM_LEFT = re.compile(
    r"maximum context length is (?P<context>\d+) tokens and your request has (?P<sent>\d+)"
    r"|exceed context limit: (?P<sent2>\d+) \+ \d+ > (?P<context2>\d+)",
    re.IGNORECASE,
)
_STATED_LIMIT = re.compile(
    r"supports at most (\d+) completion tokens|max_tokens`?: \d+ > (\d+)"
    r"|max_(?:completion_)?tokens`? must be less than or equal to `?(\d+)|can only afford (\d+)"
    r"|valid range of max_tokens is \[\d+, ?(\d+)\]",
    re.IGNORECASE,
)


def token_limit(fault: Fault) -> int | None:
    """The context length that a provider names when it refuses a prompt as too long."""
    found = _LIMITS.search(fault.said) or _LIMITS.search(fault.body)
    return int(found[1].replace(",", "")) if found else None


def answer_limit(fault: Fault) -> int | None:
    """The longest answer in tokens that the provider would have accepted in the refused request.

    None for another fault.
    """
    left = _ROOM_LEFT.search(fault.said) or _ROOM_LEFT.search(fault.body)
    if left is not None:
        context, sent = left["context"] or left["context2"], left["sent"] or left["sent2"]
        return max(0, int(context) - int(sent))
    most = _STATED_LIMIT.search(fault.said) or _STATED_LIMIT.search(fault.body)
    return None if most is None else int(next(group for group in most.groups() if group))


_REJECTED_ANSWER = any_of(
    r"json_validate_failed", r"tool_use_failed", r"output_parse_failed",
    r"model produced invalid (?:content|sequence|output|json)", r"malformed_function_call",
    r"failed to (?:generate json|parse (?:the )?(?:tool|function) call)",
    r"failed to call a function",
)  # fmt: skip
_GENERATED = re.compile(r'"failed_generation"\s*:\s*("(?:[^"\\]|\\.)*")')


def rejected_answer(fault: Fault) -> str | None:
    """The model's answer, if the provider itself rejected it because of the schema.

    Empty if the provider withholds the answer; None for another fault.
    """
    if fault.status is None or _REJECTED_ANSWER.search(fault.body) is None:
        return None
    generated = _GENERATED.search(fault.body)
    try:
        return str(json.loads(generated[1], strict=False)) if generated else ""
    except ValueError:
        return ""
