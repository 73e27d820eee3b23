"""Classifies a provider's fault: retry later, fail this pair, or fail the run.

Providers disagree about status codes (an exhausted quota comes as 429, a bad key as 400, a refused
option as 500), so the text of the body takes precedence over the status.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from core.errors import JudgeBusy, JudgeError, JudgeFailed, JudgeUnusable
from core.truncation import one_line
from evals.judges import redaction
from evals.judges.fault_parsing import Fault, is_page
from evals.judges.fault_patterns import (
    BARE_WORDS,
    BY_BODY,
    BY_STATUS,
    FIREWALL,
    TOO_LONG_ITSELF,
    WAITED_OUT,
    Meaning,
)

__all__ = ["Meaning", "RequestSent", "judge_error", "meaning", "without_quotes"]

_MAX_SAID = 300


_FOR_THE_RUN = frozenset({Meaning.NO_QUOTA, Meaning.NO_ACCESS, Meaning.NO_MODEL, Meaning.NO_API})


@dataclass(frozen=True, slots=True)
class RequestSent:
    """The failed call. `prompt` and `secrets` are removed from messages.

    `address`: where the user's settings let the model be served; empty for the provider's own
    address.
    """

    provider: str
    name: str
    model: str
    prompt: str = ""
    secrets: Collection[str] = ()
    address: str = field(default="", repr=False)


def meaning(fault: Fault, sent: RequestSent) -> Meaning:
    """Classifies the provider's own words; words that it quotes from the prompt are ignored."""
    if fault.status is None:
        return Meaning.BUSY
    text = without_quotes(fault.body, sent)
    if is_page(text):
        return _meaning_of_page(fault.status, text)
    limited = fault.status == 429 or WAITED_OUT.search(text) is not None
    for found, pattern in BY_BODY:
        # A message about a rate limit may also mention too many tokens, but it does not mean this
        # prompt.
        stricter = limited and found is Meaning.TOO_LONG
        if (TOO_LONG_ITSELF if stricter else pattern).search(text):
            return found
    if 300 <= fault.status < 400:
        return Meaning.NO_API
    if fault.status in BY_STATUS:
        return BY_STATUS[fault.status]
    return Meaning.BUSY if fault.status >= 500 else Meaning.FAILED


def _meaning_of_page(status: int, text: str) -> Meaning:
    """Classifies a web page.

    The API did not write it, so words about keys, models or quotas do not count.
    """
    if status in (408, 413, 423, 425, 429) or status >= 500:
        return BY_STATUS.get(status, Meaning.BUSY)
    if status >= 400 and (status in (403, 406) or FIREWALL.search(text)):
        return Meaning.BLOCKED
    return Meaning.NO_API


def judge_error(fault: Fault, sent: RequestSent) -> JudgeError:
    """The error for a fault, worded for the person who can act on it."""
    kind = meaning(fault, sent)
    status = f" ({fault.status})" if fault.status else ""
    said = one_line(without_quotes(fault.said, sent), _MAX_SAID)
    what = f"has no model {sent.model} at this address" if kind is Meaning.NO_MODEL else kind.value
    message = f"{sent.name} {what}{status}: {said or 'it gave no reason'}"
    if kind in _FOR_THE_RUN:
        return JudgeUnusable(
            message,
            provider=sent.provider,
            unmistakable=_is_unmistakable(fault, kind),
            at_once=_is_known_reason(fault, sent, kind),
        )
    if kind in {Meaning.BUSY, Meaning.RATE_LIMITED}:
        return JudgeBusy(
            message,
            provider=sent.provider,
            retry_after=fault.retry_after,
            rate_limited=kind is Meaning.RATE_LIMITED,
        )
    return JudgeFailed(message, provider=sent.provider)


def _is_known_reason(fault: Fault, sent: RequestSent, kind: Meaning) -> bool:
    """Whether the provider named its reason in words that are known. Firewalls also answer in JSON,
    with other words and the same statuses.
    """
    text = without_quotes(fault.body, sent)
    return not is_page(text) and any(
        found is kind and pattern.search(text) for found, pattern in BY_BODY
    )


def _is_unmistakable(fault: Fault, kind: Meaning) -> bool:
    """Whether the provider itself worded the refusal; a status without words may come from a
    gateway.
    """
    if kind is Meaning.NO_QUOTA:
        return True
    return kind is not Meaning.NO_API and BARE_WORDS.fullmatch(fault.said.strip()) is None


def without_quotes(text: str, sent: RequestSent) -> str:
    """`text` without credentials and without quotations from the prompt."""
    return redaction.without_quotes(text, sent.prompt, sent.secrets)
