"""What went wrong at a provider, read from whatever exception arrived."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

_DEEPEST = 8
_LONGEST_BODY = 4000
_UNREADABLE = re.compile(
    r"unable to get json response|expecting value|error converting to valid response"
    r"|provider returned .{0,60}choices|traceback \(most recent call last\)",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"^(?:litellm\.\w+:\s*|\w*(?:Error|Exception)\w*\s*[:-]\s*)+", re.IGNORECASE)
_ADVERT = "This looks like a bug in LiteLLM"
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_SSL = re.compile(r" ssl:\S+(?: object at 0x[0-9a-f]+>)?")
_WAIT = re.compile(
    r"(?:try again in|retry in|retry after|retryDelay\W+)\s*"
    r"((?:\d+(?:\.\d+)?\s*(?:ms|h|m|s)[a-z]*\s*)+)",
    re.IGNORECASE,
)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|h|m|s)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Fault(Exception):
    """A provider's refusal, or its silence, in neutral terms.

    `status` is None when no answer came, or none that could be read. `said` is the
    provider's own message, `body` all it sent: both are untrusted, may quote the
    prompt, and are for `provider_errors` alone. `retry_after` is in seconds.
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
        self.said = said[:_LONGEST_BODY]
        self.status = status
        self.body = (body or said)[:_LONGEST_BODY]
        self.retry_after = retry_after


def fault_of(error: BaseException) -> Fault:
    """The fault behind an exception of LiteLLM, of a client under it, or of the network."""
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
        _said(body),
        status=_status(chain),
        body=body,
        retry_after=_retry_after(chain, body),
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_DEEPEST):
        if link is None:
            return
        yield link
        link = link.__cause__ or link.__context__


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError | httpx.TimeoutException)


def _is_network(error: BaseException) -> bool:
    if isinstance(error, httpx.TransportError | ConnectionError):
        return True
    return type(error).__module__.startswith("aiohttp.") and isinstance(error, OSError)


def _body(chain: list[BaseException]) -> str:
    for link in reversed(chain):
        body = getattr(link, "body", None)
        if isinstance(body, Mapping) and body:
            return json.dumps(body, default=str)
    messages = [getattr(link, "message", None) for link in reversed(chain)]
    told = next((m for m in messages if isinstance(m, str) and m), str(chain[0]))
    return _PREFIX.sub("", told.partition(_ADVERT)[0]).strip()


def _status(chain: list[BaseException]) -> int | None:
    """The deepest status is the provider's; LiteLLM rounds some to ones of its own."""
    codes = [getattr(link, "status_code", None) for link in reversed(chain)]
    return next((code for code in codes if isinstance(code, int) and code >= 400), None)


def _said(body: str) -> str:
    """The one sentence a person can act on, out of JSON, HTML or plain text."""
    if "<html" in body.lower() or "<!doctype" in body.lower():
        title = _TITLE.search(body)
        return f"an HTML page: {title[1].strip()}" if title else "an HTML page"
    start = body.find("{")
    if start >= 0:
        message = _message(_parsed(body[start:]))
        if message:
            return message
    return body


def _parsed(text: str) -> object:
    try:
        return json.JSONDecoder(strict=False).raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None


def _message(found: object) -> str | None:
    if isinstance(found, str):
        return found
    if isinstance(found, list) and found:
        return _message(found[0])
    if isinstance(found, Mapping):
        keys = ("error", "message", "detail", "msg")
        return next((m for key in keys if (m := _message(found.get(key)))), None)
    return None


def _retry_after(chain: list[BaseException], body: str) -> float | None:
    for link in chain:
        response = getattr(link, "response", None)
        for source in (link, response):
            for name in ("litellm_response_headers", "headers"):
                headers = getattr(source, name, None)
                if isinstance(headers, Mapping) and (wait := asked_wait(headers)) is not None:
                    return wait
    return _told_wait(body)


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by Retry-After, as a number or as a date."""
    known = {str(k).lower().removeprefix("llm_provider-"): str(v) for k, v in headers.items()}
    milliseconds = known.get("retry-after-ms", "")
    if milliseconds.replace(".", "", 1).isdigit():
        return float(milliseconds) / 1000
    value = known.get("retry-after", "").strip()
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    now = datetime.now(UTC)
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def _told_wait(body: str) -> float | None:
    """Seconds to wait as some providers say it in prose: `try again in 1m3.5s`."""
    found = _WAIT.search(body)
    if found is None:
        return None
    return sum(float(number) * _SECONDS[unit.lower()] for number, unit in _SPAN.findall(found[1]))
