"""What a fault of a provider means: ask again later, give up this pair, or give up the run.

Providers disagree about status codes (an exhausted quota comes as 429, a bad key as
400, a refused option as 500), so what the body says goes before what the status says.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from core.errors import JudgeBusy, JudgeError, JudgeFailed, JudgeUnusable
from evals.provider_faults import Fault

_LONGEST_SAID = 300
_QUOTED = 24
_KEYS = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|pk|gsk|xai|hf|r8|or|nvapi|csk|fw|tgp)[-_]|AIza)[-_A-Za-z0-9*.]{12,}"
    r"|bearer\s+\S+|(?<=key=)[^&\s\"']+|[A-Za-z0-9+/_-]*\*{3,}[A-Za-z0-9+/_-]*"
    r"|\b(?=[A-Za-z0-9+/_-]*\d)(?=[A-Za-z0-9+/_-]*[A-Za-z])[A-Za-z0-9+/_]{32,}\b",
    re.IGNORECASE,
)


class Meaning(StrEnum):
    """The value completes the sentence `<provider> …`."""

    REFUSED_CONTENT = "refused to judge this content"
    TOO_LONG = "finds the prompt too long"
    RATE_LIMITED = "limits the rate of calls"
    NO_QUOTA = "has no quota or credit left for this key"
    NO_ACCESS = "does not accept these credentials"
    NO_MODEL = "has no such model at this address"
    BUSY = "is unreachable or overloaded"
    FAILED = "refused the call"


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_BY_BODY: tuple[tuple[Meaning, re.Pattern[str]], ...] = (
    (
        Meaning.REFUSED_CONTENT,
        _any(
            r"content_policy", r"content[ _-]?filter", r"content management policy",
            r"responsibleaipolicy", r"flagged", r"prohibited_content", r"datainspectionfailed",
            r"inappropriate content", r"violat\w+ .{0,40}(?:usage|content) polic",
            r"blocked by .{0,40}safety", r"safety system",
        ),
    ),
    (
        Meaning.TOO_LONG,
        _any(
            r"context_length", r"context_window", r"maximum context", r"context (?:window|size)",
            r"context length", r"(?:prompt|input|request) (?:is |was )?too (?:long|large)",
            r"request_too_large", r"input token count", r"too many (?:input |prompt )?tokens\b",
            r"exceeds? the (?:maximum|max|limit).{0,40}tokens", r"string_above_max_length",
            r"reduce the length",
        ),
    ),
    (
        Meaning.NO_QUOTA,
        _any(r"per[-_ ]?day\w*\W.{0,80}quota", r"quotaid\W+\w*perday", r"free-models-per-day",
             r"\blimit: 0\b"),
    ),
    (Meaning.RATE_LIMITED, _any(r"quotaid\W+\w*perminute", r"retrydelay")),
    (
        Meaning.NO_QUOTA,
        _any(
            r"insufficient[_ ](?:quota|balance|credit|fund)", r"credit balance",
            r"exceeded your (?:current|monthly) quota", r"billing[_ ]hard[_ ]limit",
            r"payment required", r"(?:out of|no|more) credits", r"spend(?:ing)? limit",
            r"budget (?:has been |was )?exceeded", r"arrearage", r"quota (?:is )?exhausted",
        ),
    ),
    (
        Meaning.NO_ACCESS,
        _any(
            r"invalid_api_key", r"api_key_invalid", r"api key (?:not valid|expired|not found)",
            r"(?:incorrect|invalid|missing|no) (?:x-)?api[-_ ]key", r"authentication_error",
            r"invalid authentication", r"unauthenticated", r"unauthorized", r"permission_denied",
            r"permission_error", r"accessdenied", r"expiredtoken", r"unrecognizedclient",
            r"missing credentials", r"unsupported_country", r"api_key client option must be set",
            r"account .{0,40}(?:deactivated|suspended|disabled)", r"no auth credentials",
        ),
    ),
    (
        Meaning.NO_MODEL,
        _any(
            r"model_not_found", r"model_decommissioned", r"deploymentnotfound", r"not_found_error",
            r"(?:unknown|invalid|no such) model", r"not a valid model", r"provider not provided",
            r"model.{0,120}(?:does not exist|not found|is not available|decommissioned)",
        ),
    ),
    (Meaning.RATE_LIMITED, _any(r"rate[_ -]?limit", r"too many requests", r"throttl")),
    (Meaning.BUSY, _any(r"overloaded", r"at capacity", r"temporarily unavailable")),
)  # fmt: skip
_BY_STATUS = {
    401: Meaning.NO_ACCESS,
    402: Meaning.NO_QUOTA,
    403: Meaning.NO_ACCESS,
    404: Meaning.NO_MODEL,
    405: Meaning.NO_MODEL,
    408: Meaning.BUSY,
    409: Meaning.BUSY,
    413: Meaning.TOO_LONG,
    423: Meaning.BUSY,
    425: Meaning.BUSY,
    429: Meaning.RATE_LIMITED,
    501: Meaning.FAILED,
    505: Meaning.FAILED,
}
_FOR_THE_RUN = frozenset({Meaning.NO_QUOTA, Meaning.NO_ACCESS, Meaning.NO_MODEL})


@dataclass(frozen=True, slots=True)
class Asked:
    """The call that failed. `prompt` and `secrets` are here to be kept out of messages."""

    provider: str
    name: str
    model: str
    prompt: str = ""
    secrets: Collection[str] = ()


def meaning(fault: Fault, asked: Asked) -> Meaning:
    """What the provider says of itself; words it quotes from the prompt count for nothing."""
    if fault.status is None:
        return Meaning.BUSY
    text = without_quotes(fault.body, asked)
    if "<html" not in text.lower():
        for found, pattern in _BY_BODY:
            if pattern.search(text):
                return found
    if fault.status in _BY_STATUS:
        return _BY_STATUS[fault.status]
    return Meaning.BUSY if fault.status >= 500 else Meaning.FAILED


def judge_error(fault: Fault, asked: Asked) -> JudgeError:
    found = meaning(fault, asked)
    status = f" ({fault.status})" if fault.status else ""
    said = _shortened(without_quotes(fault.said, asked))
    message = f"{asked.name} {found.value}{status}: {said}"
    if found is Meaning.NO_MODEL:
        message = f"{asked.name} has no model {asked.model} at this address{status}: {said}"
    if found in _FOR_THE_RUN:
        return JudgeUnusable(message, provider=asked.provider)
    if found in {Meaning.BUSY, Meaning.RATE_LIMITED}:
        return JudgeBusy(
            message,
            provider=asked.provider,
            retry_after=fault.retry_after,
            rate_limited=found is Meaning.RATE_LIMITED,
        )
    return JudgeFailed(message, provider=asked.provider)


class Option(StrEnum):
    """Something a request may carry that a model can refuse without refusing the question."""

    TEMPERATURE = "temperature"
    SHAPE = "shape"
    MAX_TOKENS = "max_tokens"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"


_REFUSED = (
    (Option.TEMPERATURE, _any(r"temperature")),
    (
        Option.MAX_TOKENS,
        _any(r"'max_tokens' is not supported", r"unsupported.{0,40}'?max_tokens",
             r"max_completion_tokens.{0,20} instead"),
    ),
    (Option.MAX_COMPLETION_TOKENS, _any(r"max_completion_tokens")),
    (
        Option.SHAPE,
        _any(
            r"response_?format", r"json_?schema", r"response_?schema", r"output_format",
            r"structured outputs?", r"\bschema\b", r"tool_?choice", r"\btools?\b",
            r"function[ _]call", r"grammar", r"json mode", r"does not support parameters",
        ),
    ),
)  # fmt: skip
_REFUSING = frozenset({400, 404, 415, 422, 500, 501})
# Many an outage mentions a tool or a schema; only these words name what was asked for.
_REFUSED_BY_500 = _any(r"response_?format", r"json_?schema", r"tool_?choice", r"grammar")


def refused_option(fault: Fault, asked: Asked) -> Option | None:
    """The option that a call without it might do without, when that is what the fault is about."""
    if fault.status not in _REFUSING:
        return None
    text = without_quotes(fault.body, asked)
    found = next((option for option, pattern in _REFUSED if pattern.search(text)), None)
    if found is None or meaning(fault, asked) in _NOT_AN_OPTION:
        return None
    if fault.status >= 500 and not _REFUSED_BY_500.search(text):
        return None
    return found


_NOT_AN_OPTION = frozenset(set(Meaning) - {Meaning.FAILED, Meaning.BUSY, Meaning.NO_MODEL})

_TOKENS = re.compile(
    r"(?:maximum(?: context)?(?: length| size| number| window)?[^.]{0,60}?|context window of"
    r"|limit:?|n_ctx\D{0,6}|context size \(|>)\s*\(?(\d[\d,]{2,})",
    re.IGNORECASE,
)


def token_limit(fault: Fault) -> int | None:
    """The context length a provider names when it finds a prompt too long."""
    found = _TOKENS.search(fault.said) or _TOKENS.search(fault.body)
    return int(found[1].replace(",", "")) if found else None


def without_quotes(text: str, asked: Asked) -> str:
    """`text` without credentials and without what it repeats from the prompt."""
    for secret in asked.secrets:
        if len(secret) >= 6:
            text = text.replace(secret, "[key]")
    return _KEYS.sub("[key]", _without_prompt(text, asked.prompt))


def _without_prompt(text: str, prompt: str) -> str:
    kept: list[str] = []
    at = 0
    while at < len(text):
        if len(text) - at < _QUOTED or text[at : at + _QUOTED] not in prompt:
            kept.append(text[at])
            at += 1
            continue
        end = at + _QUOTED
        while end < len(text) and text[end - _QUOTED + 1 : end + 1] in prompt:
            end += 1
        kept.append("[…]")
        at = end
    return "".join(kept)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_SAID else f"{line[: _LONGEST_SAID - 1].rstrip()}…"
