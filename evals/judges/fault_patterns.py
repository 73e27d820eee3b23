"""Words and statuses that identify the faults of providers."""

import re
from enum import StrEnum


class Meaning(StrEnum):
    """The value completes the sentence `<provider> …`."""

    REFUSED_CONTENT = "refused to judge this content"
    TOO_LONG = "finds the prompt too long"
    RATE_LIMITED = "limits the rate of calls"
    NO_QUOTA = "has no quota or credit left for this key"
    NO_ACCESS = "does not accept these credentials"
    NO_MODEL = "has no such model at this address"
    NO_API = "does not answer as an API at this address; check the address"
    BLOCKED = "was not reached: a firewall or gateway blocked this call"
    BUSY = "is unreachable or overloaded"
    FAILED = "refused the call"


def any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE | re.DOTALL)


_REFUSED_CONTENT = any_of(
    r"content_policy", r"content[ _-]?filter", r"content management policy",
    r"responsibleaipolicy", r"flagged", r"prohibited_content", r"data_?inspection_?failed",
    r"inappropriate content", r"violat\w+ .{0,40}(?:usage|content) polic",
    r"blocked by .{0,40}(?:safety|guardrail|polic)", r"safety system", r"policy_violation",
    r"guardrail_intervened", r"sensitive (?:content|information|words)", r"content_blocked",
    r"requires moderation", r"moderation_blocked", r"finishreason\W+(?:safety|recitation)",
    r"blockreason",
)  # fmt: skip
# Only these words blame the length of the request itself; others also appear in rate limits.
TOO_LONG_ITSELF = any_of(
    r"context_length", r"context_window", r"maximum context", r"context (?:window|size)",
    r"context length", r"context limit", r"exceed_context_size",
    r"(?:prompt|input|request) (?:is |was )?too (?:long|large)",
    r"request_too_large", r"maximum (?:prompt|input|sequence) length",
    r"tokens must be reduced", r"reduce the length", r"reduce your message size",
    r"string_above_max_length",
)  # fmt: skip
_TOO_LONG = any_of(
    TOO_LONG_ITSELF.pattern, r"input token count", r"too many (?:input |prompt )?tokens\b",
    r"exceeds? the (?:maximum|max|limit).{0,40}tokens", r"must have less than \d+ tokens",
    r"max_new_tokens`? must be <=", r"prompt_too_long", r"too large for model",
)  # fmt: skip
WAITED_OUT = any_of(r"tokens? per min", r"requests? per min", r"wait before trying again")
BY_BODY: tuple[tuple[Meaning, re.Pattern[str]], ...] = (
    (Meaning.REFUSED_CONTENT, _REFUSED_CONTENT),
    (Meaning.TOO_LONG, _TOO_LONG),
    (
        Meaning.NO_QUOTA,
        any_of(r"per[-_ ]?day\w*\W.{0,80}quota", r"quotaid\W+\w*perday", r"free-models-per-day",
             r"\blimit: 0\b"),
    ),
    (
        Meaning.RATE_LIMITED,
        any_of(r"quotaid\W+\w*perminute", r"retrydelay",
             r"quota exceeded for .{0,300}(?:retry|again) in"),
    ),
    (
        Meaning.NO_QUOTA,
        any_of(
            r"insufficient[_ ](?:quota|balance|credit|fund)", r"credit balance",
            r"exceeded your (?:current|monthly) quota", r"billing[_ ]hard[_ ]limit",
            r"payment required", r"(?:out of|no|more|not enough) credits", r"spend(?:ing)? limit",
            r"budget (?:has been |was )?exceeded", r"arrearage", r"quota (?:is )?exhausted",
            r"billing_not_active", r"account is not active", r"billing (?:is |has )?not (?:been )?"
            r"(?:active|enabled|set up)", r"included credits", r"key limit exceeded",
            r"credits? (?:is |are |has been |have been )?(?:exhausted|depleted|used up|expired)",
            r"(?:can only|not|cannot) afford", r"余额不足", r"欠费",
            r"trial .{0,30}(?:expired|ended|exhausted)", r"usage limit (?:reached|exceeded)",
        ),
    ),
    (
        Meaning.NO_ACCESS,
        any_of(
            r"invalid_api_key", r"api_key_invalid", r"api key (?:not valid|expired|not found)",
            r"(?:incorrect|invalid|missing|no|wrong|malformed) (?:x-)?(?:api|subscription|access)"
            r"[-_ ]?(?:key|token)", r"authentication_error", r"invalid (?:bearer|auth\w*) ?token",
            r"invalid authentication", r"unauthenticated", r"unauthorized", r"permission_denied",
            r"permission_error", r"accessdenied", r"expiredtoken", r"unrecognizedclient",
            r"invalidsignature", r"signaturedoesnotmatch", r"invalidclienttokenid",
            r"missing credentials", r"unsupported_country", r"api_key client option must be set",
            r"account .{0,40}(?:deactivated|suspended|disabled)", r"no auth credentials",
            r"api[-_ ]?key .{0,40}(?:disabled|revoked|expired|deleted|invalid)",
            r"not authorized to (?:access|perform|invoke)",
        ),
    ),
    (
        Meaning.NO_MODEL,
        any_of(
            r"model_not_found", r"model_decommissioned", r"deploymentnotfound", r"not_found_error",
            r"(?:unknown|invalid|no such|unsupported) model", r"not a valid model",
            r"provider not provided", r"model_not_available", r"no endpoints found",
            r"model.{0,120}(?:does not exist|not found|decommissioned"
            r"|is not (?:available|supported)|has been (?:deprecated|retired|removed)"
            r"|no longer (?:available|supported))",
            r"provided model identifier is invalid", r"on-demand throughput isn",
        ),
    ),
    (
        Meaning.RATE_LIMITED,
        any_of(r"rate[_ -]?limit", r"too many (?:concurrent )?requests", r"throttl",
             r"slow[_ ]down", r"concurren\w+ (?:request |requests )?limit",
             r"requests? per (?:min|sec|hour)",
             r"quota_exceeded"),
    ),
    (
        Meaning.BUSY,
        any_of(r"overloaded", r"at capacity", r"capacity exceeded", r"temporarily unavailable",
             r"currently loading", r"model is loading", r"upstream (?:connect|request|timeout)"),
    ),
)  # fmt: skip
# Words of a firewall's or gateway's page in front of the API.
FIREWALL = any_of(
    r"attention required", r"you have been blocked",
    r"request (?:was |has been )?(?:blocked|rejected)",
    r"access (?:is |was )?denied", r"cloudflare", r"just a moment", r"incapsula", r"imperva",
    r"akamai", r"sucuri", r"mod_?security", r"not acceptable", r"web application firewall",
    r"\bwaf\b", r"forbidden", r"security (?:policy|check|rule)", r"captcha", r"challenge",
)  # fmt: skip
# Generic words of gateways and frameworks, which are not a verdict of the provider.
BARE_WORDS = re.compile(
    r"\W*(?:(?:http )?(?:401|403|404|405)?\W*)?(?:unauthorized|forbidden|(?:page |resource |route "
    r"|path |url )?not found|access denied|authentication required|method not allowed|no route"
    r"|default backend - 404|error|none|null)?\W*",
    re.IGNORECASE,
)
BY_STATUS = {
    401: Meaning.NO_ACCESS,
    402: Meaning.NO_QUOTA,
    403: Meaning.NO_ACCESS,
    404: Meaning.NO_MODEL,
    405: Meaning.NO_API,
    406: Meaning.BLOCKED,
    408: Meaning.BUSY,
    409: Meaning.BUSY,
    413: Meaning.TOO_LONG,
    423: Meaning.BUSY,
    424: Meaning.BUSY,
    425: Meaning.BUSY,
    429: Meaning.RATE_LIMITED,
    498: Meaning.BUSY,
    499: Meaning.BUSY,
    501: Meaning.FAILED,
    505: Meaning.FAILED,
}
