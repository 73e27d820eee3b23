"""Reads a provider's fault from its response or from an exception."""

import json
import re
from collections.abc import Iterator, Mapping

import httpx

from evals.judges.retry_wait import asked_wait, told_wait

__all__ = ["Fault", "asked_wait", "fault_of", "fault_within", "is_page", "response_fault"]

_MAX_CHAIN = 8
_MAX_BODY = 4000
_MAX_NESTED = 4
_MAX_PAGE = 20_000
_UNREADABLE = re.compile(
    r"unable to get json response|expecting value|error converting to valid response"
    r"|provider returned .{0,60}choices|traceback \(most recent call last\)",
    re.IGNORECASE,
)
_PREFIX = re.compile(
    r"^(?:litellm\.\w+:\s*|\w*(?:Error|Exception)\w*\s*[:-]\s*(?=\S))+", re.IGNORECASE
)
_ADVERT = "This looks like a bug in LiteLLM"
_TITLE = re.compile(r"<(title|h1)[^>]{0,200}>(.{0,500}?)</\1>", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<[^>]{0,200}>")
_PAGE = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html|head|body|center)\b", re.IGNORECASE
)
_SSL = re.compile(r" ssl:\S+(?: object at 0x[0-9a-f]+>)?")
# Sentences without information; the reason is deeper in the body.
_EMPTY_WORDS = re.compile(
    r"provider returned error|upstream error|bad request|error|internal server error"
    r"|request failed|an error occurred|unknown error|none|null",
    re.IGNORECASE,
)
_MESSAGES = ("error", "message", "error_message", "errorMessage", "detail", "details", "msg",
             "error_msg", "title", "reason", "description", "Message")  # fmt: skip
_CODES = ("code", "status", "status_code", "statusCode", "http_code", "http_status", "error_code")
_MAX_STATUS = 599
_STATUS = re.compile(r"[45][0-9]{2}")


class Fault(Exception):
    """A provider's refusal or missing answer, independent of the client.

    `status` is None without a readable answer. `said` is the provider's own message, `body` the
    whole response. Both are untrusted, may quote the prompt, and must be read by `fault_meaning`
    only. `retry_after` is in seconds.
    """

    def __init__(
        self,
        said: str,
        *,
        status: int | None = None,
        body: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__("a provider refused a call or did not answer it")
        self.said = said[:_MAX_BODY]
        self.status = status
        self.body = (body or said)[:_MAX_BODY]
        self.retry_after = retry_after


def fault_of(error: BaseException) -> Fault:
    """The fault behind an exception of LiteLLM, of its HTTP clients, or of the network."""
    chain = list(_chain(error))
    body = _body(chain)
    if any(_is_timeout(link) for link in chain):
        return Fault("no answer came within the time allowed")
    broken = next((link for link in reversed(chain) if _is_network(link)), None)
    if broken is not None:
        return Fault(_SSL.sub("", str(broken)) or type(broken).__name__)
    if _UNREADABLE.search(body):
        return Fault("it sent something that is not an answer of its protocol")
    return Fault(
        _sentence_to_act_on(body),
        status=_status(chain) or _status_told(body),
        body=body,
        retry_after=_retry_after(chain, body),
    )


def response_fault(status: int, headers: Mapping[str, str], body: str) -> Fault:
    """The fault in a provider's response that Assay's own client has read."""
    wait = asked_wait(headers)
    return Fault(
        _sentence_to_act_on(body),
        status=status,
        body=body,
        retry_after=told_wait(body) if wait is None else wait,
    )


def fault_within(
    parsed: Mapping[str, object], headers: Mapping[str, str], *, status: int = 500
) -> Fault | None:
    """The error in the body of a gateway's 200 response; None if there is none.

    The code in the body takes precedence over `status`.
    """
    error = parsed.get("error")
    if error in (None, False, "", {}, []):
        known = parsed.get("object") == "error" or parsed.get("type") == "error"
        told = any(isinstance(parsed.get(key), str) for key in ("message", "detail", "error_msg"))
        if not known and (not told or "choices" in parsed):
            return None
    body = _written(parsed)
    return response_fault(_status_in(parsed) or status, headers, body)


def _written(parsed: Mapping[str, object]) -> str:
    """The JSON text; empty if it is nested too deeply."""
    try:
        return json.dumps(parsed, default=str)
    except RecursionError:
        return ""


def is_page(text: str) -> bool:
    """Whether the body is a web page instead of an API response."""
    return _PAGE.match(text) is not None or "<html" in text[:2000].lower()


def _status_in(value: object, depth: int = 0) -> int | None:
    """The HTTP status in an error object, also as text and within nested errors."""
    if not isinstance(value, Mapping) or depth > _MAX_NESTED:
        return None
    inner = _status_in(value.get("error"), depth + 1)
    if inner is not None:
        return inner
    for key in _CODES:
        code = value.get(key)
        if isinstance(code, str) and _STATUS.fullmatch(code):
            code = int(code)
        if isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= _MAX_STATUS:
            return code
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_MAX_CHAIN):
        if link is None:
            return
        yield link
        link = link.__cause__ or link.__context__


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError | httpx.TimeoutException)


def _is_network(error: BaseException) -> bool:
    if isinstance(error, httpx.TransportError | ConnectionError):
        return True
    return type(error).__module__.startswith("aiohttp.")


def _body(chain: list[BaseException]) -> str:
    for link in reversed(chain):
        body = getattr(link, "body", None)
        if isinstance(body, Mapping) and body:
            return _written(body)
    messages = [getattr(link, "message", None) for link in reversed(chain)]
    told = next((m for m in messages if isinstance(m, str) and m), str(chain[0]))
    return _PREFIX.sub("", told.partition(_ADVERT)[0][: 2 * _MAX_BODY]).strip()


def _status(chain: list[BaseException]) -> int | None:
    """The deepest status is the provider's; LiteLLM replaces some statuses."""
    codes = [getattr(link, "status_code", None) for link in reversed(chain)]
    return next((code for code in codes if isinstance(code, int) and code >= 400), None)


def _status_told(body: str) -> int | None:
    start = body.find("{")
    return _status_in(_parsed(body[start:])) if start >= 0 else None


def _sentence_to_act_on(body: str) -> str:
    """Extracts the sentence to act on from JSON, HTML or plain text."""
    if is_page(body):
        title = _TITLE.search(body[:_MAX_PAGE])
        words = " ".join(_TAGS.sub(" ", title[2]).split()) if title else ""
        return f"an HTML page: {words}" if words else "an HTML page"
    return _sentence(body, 0) or body


def _sentence(text: str, depth: int) -> str | None:
    """The innermost message of JSON, which may follow other text and may be nested in JSON
    strings.
    """
    start = text.find("{")
    if start < 0 or depth > _MAX_NESTED:
        return None
    message = _message(_parsed(text[start:]), depth)
    if message is None:
        return None
    return _sentence(message, depth + 1) or _PREFIX.sub("", message[:_MAX_BODY]).strip() or message


def _parsed(text: str) -> object:
    try:
        return json.JSONDecoder(strict=False).raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None


def _message(value: object, depth: int) -> str | None:
    if isinstance(value, str):
        return value if value.strip() else None
    if depth > _MAX_NESTED:
        return None
    if isinstance(value, list) and value:
        return _message(value[0], depth + 1)
    if not isinstance(value, Mapping):
        return None
    messages = [m for key in _MESSAGES if (m := _message(value.get(key), depth + 1))]
    raw = _raw_message(value, depth)
    if raw is not None and (not messages or _EMPTY_WORDS.fullmatch(messages[0].strip(" ."))):
        return raw
    return next((m for m in messages if not _EMPTY_WORDS.fullmatch(m.strip(" ."))), None) or next(
        iter(messages), raw
    )


def _raw_message(error: Mapping[str, object], depth: int) -> str | None:
    """The upstream provider's words, which OpenRouter and other gateways keep in the metadata."""
    for holder in (error.get("metadata"), error.get("innererror"), error):
        if not isinstance(holder, Mapping):
            continue
        for key in ("raw", "upstream_error", "provider_error", "body"):
            raw = holder.get(key)
            if isinstance(raw, str) and raw.strip():
                return _sentence(raw, depth + 1) or raw
            if isinstance(raw, Mapping) and (message := _message(raw, depth + 1)):
                return message
    return None


def _retry_after(chain: list[BaseException], body: str) -> float | None:
    for link in chain:
        response = getattr(link, "response", None)
        for source in (link, response):
            for name in ("litellm_response_headers", "headers"):
                headers = getattr(source, name, None)
                if isinstance(headers, Mapping) and (wait := asked_wait(headers)) is not None:
                    return wait
    return told_wait(body)
