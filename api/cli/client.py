"""The command line's HTTP client of the Assay API."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import httpx

from api.cli import jsonlines
from core import json_codec
from core.errors import AssayError, Invalid, NotFound, TooLarge, Unauthenticated, Unavailable

_MAX_ATTEMPTS: Final = 6
_MAX_PAUSE_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.25
_MAX_FOLLOW_ATTEMPTS: Final = 120
_MAX_FOLLOW_PAUSE_SECONDS: Final = 5.0
_MAX_CONCURRENT_POSTS: Final = 8

_RETRYABLE_STATUSES: Final = (429, 502, 503, 504)
Json = dict[str, Any]


class TemporarilyRefused(AssayError):
    """The server, or a server that it needs, cannot serve the request yet."""

    retry_after: str | None = None


class NoSuchRow(NotFound):
    """The server answered that it has no such row."""

    def __init__(self, message: str) -> None:
        AssayError.__init__(self, message)


_ERRORS: Final[Mapping[int, type[AssayError]]] = {
    401: Unauthenticated,
    404: NoSuchRow,
    413: TooLarge,
    422: Invalid,
}


class Client:
    """Every method may raise AssayError with a sentence for the user of the terminal."""

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

    async def delete(self, path: str) -> Any:
        """Sends the request once."""
        return await self._request("DELETE", path, patient=False)

    async def post(self, path: str, body: Json) -> Any:
        """Sends the request once, because a POST without a response may have taken effect."""
        return await self._request("POST", path, body=body, patient=False)

    async def download(
        self, path: str, query: Mapping[str, Any] | None = None
    ) -> AsyncIterator[bytes]:
        """The parts of a file as they arrive.

        Raises AssayError, also if the file ends early.
        """
        try:
            async with self._http.stream("GET", path, params=query) as answer:
                if not answer.is_success:
                    await answer.aread()
                    self._read(answer)
                async for part in answer.aiter_bytes():
                    yield part
        except httpx.TransportError as error:
            raise self._away(error) from error

    async def store_trace(self, body: Json) -> None:
        """Retries while the server is unavailable, which is safe because `body` has an id."""
        await self._request("POST", "/traces", body=body, patient=True)

    async def store_export(self, path: str, export: Json) -> Json:
        """Sends an OTLP request, and returns its partial success.

        A repeated request stores nothing twice.
        """
        answer = await self._request("POST", path, body=export, patient=True)
        partial = (answer or {}).get("partialSuccess")
        return partial if isinstance(partial, dict) else {}

    async def find_run(self, run_id: str) -> tuple[str, Json]:
        """The path of a run over traces or sessions, and the run. Raises NotFound."""
        path = f"/evaluations/trace-runs/{run_id}"
        try:
            return path, await self.get(path)
        except NotFound:
            path = f"/evaluations/session-runs/{run_id}"
            return path, await self.get(path)

    async def follow(self, run_id: str) -> AsyncIterator[Json]:
        """Yields the run at each change until it has ended or paused at its budget.

        For about ten minutes, an unavailable server only changes the run's `activity`; afterwards
        raises Unavailable or TemporarilyRefused. Raises NotFound if there is no such run.
        """
        path, known = await self.find_run(run_id)
        last: Json | None = None
        misses = 0
        while True:
            try:
                run: Json = known if last is None else await self.get(path, patient=False)
                known, misses = run, 0
            except (Unavailable, TemporarilyRefused) as error:
                misses += 1
                if misses == _MAX_FOLLOW_ATTEMPTS:
                    raise
                run = known | {"activity": error.message}
                asked = error.retry_after if isinstance(error, TemporarilyRefused) else None
                await asyncio.sleep(min(_pause(misses, asked), _MAX_FOLLOW_PAUSE_SECONDS))
            if run != last:
                yield run
                last = run
            if run["status"] in ("COMPLETED", "FAILED") or run.get("paused"):
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
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            again = patient and attempt < _MAX_ATTEMPTS
            try:
                answer = await self._http.send(request)
            except httpx.TransportError as error:
                if not again:
                    raise self._away(error) from error
                await asyncio.sleep(_pause(attempt, None))
                continue
            if answer.status_code in _RETRYABLE_STATUSES and again:
                await asyncio.sleep(_pause(attempt, answer.headers.get("Retry-After")))
                continue
            return self._read(answer)
        raise AssertionError("the last attempt returns or raises")

    def _read(self, answer: httpx.Response) -> Any:
        if answer.is_success:
            try:
                return json_codec.loads(answer.text) if answer.content else None
            except ValueError:
                raise self._not_assay(answer) from None
        detail = _detail(answer)
        if answer.status_code in _RETRYABLE_STATUSES:
            error = TemporarilyRefused(detail or self._not_assay(answer).message)
            error.retry_after = answer.headers.get("Retry-After")
            raise error
        if detail is None:
            raise self._not_assay(answer)
        raise _ERRORS.get(answer.status_code, AssayError)(detail)

    def _not_assay(self, answer: httpx.Response) -> AssayError:
        return AssayError(
            f"{self.url} answered {answer.status_code} {answer.reason_phrase}, but not as Assay "
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
    """Posts every line as a trace, several concurrently. Bad lines go to `on_bad`.

    Raises AssayError if the rest of the file cannot be read, if the server refuses all such
    requests, or if it is unavailable.
    """
    remaining = iter(lines)
    reading = asyncio.Lock()

    async def post_lines() -> None:
        while True:
            async with reading:
                # Runs in a thread, because reading standard input may block.
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
            for _ in range(_MAX_CONCURRENT_POSTS):
                tasks.create_task(post_lines())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def _store_line(client: Client, line: bytes) -> str | None:
    """Stores the line. Returns the problem, or None."""
    try:
        # Adds a missing id, so that a repeated POST stores the line once.
        await client.store_trace({"trace_id": str(uuid4()), **jsonlines.parse(line)})
    except (Invalid, TooLarge) as error:
        return error.message
    return None


def _pause(attempt: int, retry_after: str | None) -> float:
    """Seconds until the next attempt: by Retry-After, else exponential with jitter."""
    if retry_after and retry_after.isdigit():
        return min(float(retry_after), _MAX_PAUSE_SECONDS)
    return min(0.25 * 2.0**attempt, _MAX_PAUSE_SECONDS) * random.uniform(0.5, 1)


def _encoded(body: Json) -> bytes:
    """Encodes JSON. A lone surrogate, which UTF-8 cannot express, stays escaped."""
    try:
        return json_codec.dumps(body).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()


def _detail(answer: httpx.Response) -> str | None:
    """The server's message. A list of field errors becomes one sentence."""
    try:
        said = json_codec.loads(answer.text)
        # OTLP errors have the message under another key.
        detail = said["detail"] if "detail" in said else said["message"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(detail, list):
        return str(detail)
    return "; ".join(
        f"{'.'.join(str(part) for part in item.get('loc', ())[1:]) or 'body'}: {item.get('msg')}"
        for item in detail
    )
