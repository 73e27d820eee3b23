"""Assay over HTTP, as the command line uses it."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import httpx

from core import jsonlines, jsontext
from core.errors import AssayError, Invalid, TooLarge, Unauthenticated, Unavailable

_ATTEMPTS: Final = 6
_LONGEST_PAUSE_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.25
_FOLLOWING_ATTEMPTS: Final = 120
_FOLLOWING_PAUSE_SECONDS: Final = 5.0
_POSTS_AT_ONCE: Final = 8

_NOT_NOW: Final = (429, 502, 503, 504)
_ERRORS: Final[Mapping[int, type[AssayError]]] = {401: Unauthenticated, 413: TooLarge, 422: Invalid}

Json = dict[str, Any]


class NotNow(AssayError):
    """The server is there and says that it, or one that it needs, cannot answer yet."""

    retry_after: str | None = None


class Client:
    """Every method raises AssayError with a sentence for the person at the terminal."""

    def __init__(
        self, url: str, api_key: str, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=httpx.Timeout(60, connect=5),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def get(self, path: str, *, patient: bool = True, **query: Any) -> Any:
        return await self._request("GET", path, query=query, patient=patient)

    async def post(self, path: str, body: Json) -> Any:
        """Sent once: a POST whose answer was lost may have done its work."""
        return await self._request("POST", path, body=body, patient=False)

    async def store_trace(self, body: Json) -> None:
        """Safe to repeat, and repeated while the server is away: the body must carry its id."""
        await self._request("POST", "/traces", body=body, patient=True)

    async def follow(self, run_id: str) -> AsyncIterator[Json]:
        """The run as it changes, until and including its end.

        While it cannot be read, its `activity` says why, for some ten minutes.
        """
        path = f"/evaluations/trace-runs/{run_id}"
        known: Json = await self.get(path)
        last: Json | None = None
        misses = 0
        while True:
            try:
                run: Json = known if last is None else await self.get(path, patient=False)
                known, misses = run, 0
            except (Unavailable, NotNow) as error:
                misses += 1
                if misses == _FOLLOWING_ATTEMPTS:
                    raise
                run = known | {"activity": error.message}
                asked = error.retry_after if isinstance(error, NotNow) else None
                await asyncio.sleep(min(_pause(misses, asked), _FOLLOWING_PAUSE_SECONDS))
            if run != last:
                yield run
                last = run
            if run["status"] in ("COMPLETED", "FAILED"):
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        patient: bool,
        body: Json | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        content = None if body is None else _encoded(body)
        request = self._http.build_request(
            method,
            path,
            params=query,
            content=content,
            headers={"Content-Type": "application/json"} if content else None,
        )
        for attempt in range(1, _ATTEMPTS + 1):
            again = patient and attempt < _ATTEMPTS
            try:
                answer = await self._http.send(request)
            except httpx.TransportError as error:
                if not again:
                    raise self._away(error) from error
                await asyncio.sleep(_pause(attempt, None))
                continue
            if answer.status_code in _NOT_NOW and again:
                await asyncio.sleep(_pause(attempt, answer.headers.get("Retry-After")))
                continue
            return self._read(answer)
        raise AssertionError("the last attempt returns or raises")

    def _read(self, answer: httpx.Response) -> Any:
        if answer.is_success:
            try:
                return jsontext.loads(answer.text) if answer.content else None
            except ValueError:
                raise self._stranger(answer) from None
        detail = _detail(answer)
        if answer.status_code in _NOT_NOW:
            error = NotNow(detail or self._stranger(answer).message)
            error.retry_after = answer.headers.get("Retry-After")
            raise error
        if detail is None:
            raise self._stranger(answer)
        raise _ERRORS.get(answer.status_code, AssayError)(detail)

    def _stranger(self, answer: httpx.Response) -> AssayError:
        return AssayError(
            f"{self.url} answered {answer.status_code} {answer.reason_phrase}, and not as Assay "
            "does. Is ASSAY_URL right?"
        )

    def _away(self, error: httpx.TransportError) -> Unavailable:
        return Unavailable(
            f"Assay at {self.url}",
            f"Is `assay up` running, and is ASSAY_URL right? ({type(error).__name__})",
        )


async def store_lines(
    client: Client,
    lines: jsonlines.JsonLines,
    *,
    on_stored: Callable[[], None],
    on_bad: Callable[[str], None],
) -> None:
    """Posts every line as a trace, several at once. A bad line is told of, never fatal.

    Raises AssayError when the file cannot be read on, when the server refuses all
    lines alike, or when it is away.
    """
    remaining = iter(lines)
    turn = asyncio.Lock()

    async def post_lines() -> None:
        while True:
            async with turn:
                # In a thread: standard input may keep us waiting.
                item = await asyncio.to_thread(next, remaining, None)
            if item is None:
                return
            number, line = item
            reason = await _store_line(client, line)
            if reason is None:
                on_stored()
            else:
                on_bad(f"{lines.name}:{number}: {reason}")

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_POSTS_AT_ONCE):
                tasks.create_task(post_lines())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def _store_line(client: Client, line: bytes) -> str | None:
    """What is wrong with the line; None when it is stored."""
    try:
        # An id of ours where the line has none: a repeated POST then stores it once.
        await client.store_trace({"trace_id": str(uuid4()), **jsonlines.parse(line)})
    except (Invalid, TooLarge) as error:
        return error.message
    return None


def _pause(attempt: int, retry_after: str | None) -> float:
    """What the server asks for, else twice as long each time, spread so that callers part."""
    if retry_after and retry_after.isdigit():
        return min(float(retry_after), _LONGEST_PAUSE_SECONDS)
    return min(0.25 * 2.0**attempt, _LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1)


def _encoded(body: Json) -> bytes:
    """Half a surrogate pair, which JSON can write and UTF-8 cannot, stays escaped."""
    try:
        return jsontext.dumps(body).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()


def _detail(answer: httpx.Response) -> str | None:
    """The server's words; for a list of field errors, each field with its message."""
    try:
        detail = jsontext.loads(answer.text)["detail"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(detail, list):
        return str(detail)
    return "; ".join(
        f"{'.'.join(str(part) for part in item.get('loc', ())[1:]) or 'body'}: {item.get('msg')}"
        for item in detail
    )
