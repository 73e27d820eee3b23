"""Retries of the client against a faulty network and server."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli import screens
from api.cli.client import Client, store_lines
from api.cli.jsonlines import JsonLines
from core.errors import AssayError, Invalid, TooLarge, Unauthenticated, Unavailable

Answer = httpx.Response | Exception


class Server:
    """Gives one answer per request; the last answer repeats."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self) -> Client:
        return Client("http://assay/", "assay_key", transport=httpx.MockTransport(self))


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the client would have made, in order."""
    made: list[float] = []

    async def pause(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr("api.cli.client.asyncio.sleep", pause)
    return made


def ok(body: Any = None) -> httpx.Response:
    return httpx.Response(200, json=body)


def refused() -> httpx.ConnectError:
    return httpx.ConnectError("connection refused")


async def test_a_trace_is_sent_again_until_the_server_is_back(pauses: list[float]) -> None:
    server = Server(refused(), httpx.ReadError("cut"), httpx.Response(503), ok())
    async with server.client() as client:
        await client.store_trace({"trace_id": "t"})
    assert len(server.requests) == 4
    assert {request.content for request in server.requests} == {b'{"trace_id":"t"}'}
    assert pauses == sorted(pauses)


async def test_a_server_that_says_when_is_asked_then(pauses: list[float]) -> None:
    server = Server(httpx.Response(429, headers={"Retry-After": "7"}), ok({"status": "ok"}))
    async with server.client() as client:
        assert await client.get("/health") == {"status": "ok"}
    assert pauses == [7.0]


async def test_patience_has_an_end_and_says_what_to_look_at() -> None:
    server = Server(refused())
    async with server.client() as client:
        with pytest.raises(Unavailable, match=r"Assay at http://assay .*ASSAY_URL"):
            await client.get("/health")
    assert len(server.requests) == 6


async def test_a_run_is_never_posted_twice(pauses: list[float]) -> None:
    for answer in (httpx.ReadError("cut"), httpx.Response(503, json={"detail": "Temporal"})):
        server = Server(answer, ok())
        async with server.client() as client:
            with pytest.raises(AssayError):
                await client.post("/evaluations/trace-runs", {})
        assert len(server.requests) == 1
    assert pauses == []


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (httpx.Response(401, json={"detail": "Unknown key."}), Unauthenticated, "Unknown key."),
        (httpx.Response(413, json={"detail": "Too large."}), TooLarge, "Too large."),
        (
            httpx.Response(
                422,
                json={
                    "detail": [
                        {"loc": ["body", "spans", 0, "name"], "msg": "missing"},
                        {"loc": ["body"], "msg": "bad"},
                    ]
                },
            ),
            Invalid,
            "spans.0.name: missing; body: bad",
        ),
        (
            httpx.Response(502, text="<html>"),
            AssayError,
            "http://assay answered 502 Bad Gateway, but not as Assay does. Is ASSAY_URL right?",
        ),
        (
            httpx.Response(404, json=["odd"]),
            AssayError,
            "http://assay answered 404 Not Found, but not as Assay does. Is ASSAY_URL right?",
        ),
        (
            httpx.Response(200, text="<html>"),
            AssayError,
            "http://assay answered 200 OK, but not as Assay does. Is ASSAY_URL right?",
        ),
    ],
)
async def test_a_refusal_becomes_the_server_s_own_sentence(
    answer: httpx.Response, kind: type[AssayError], sentence: str
) -> None:
    async with Server(answer).client() as client:
        with pytest.raises(kind) as raised:
            await client.post("/traces", {})
    assert raised.value.message == sentence


async def test_half_a_surrogate_pair_is_sent_as_it_was_written() -> None:
    server = Server(ok())
    async with server.client() as client:
        await client.store_trace({"name": "\ud800", "big": 2**70})
    assert json.loads(server.requests[0].content) == {"name": "\ud800", "big": 2**70}


async def test_following_gives_each_change_once_and_ends_with_the_run() -> None:
    states = [{"status": s} for s in ("PENDING", "RUNNING", "RUNNING", "COMPLETED")]
    server = Server(*(ok(state) for state in states))
    async with server.client() as client:
        seen = [run["status"] async for run in client.follow("id")]
    assert seen == ["PENDING", "RUNNING", "COMPLETED"]


async def test_following_says_why_a_run_cannot_be_read_until_it_can(pauses: list[float]) -> None:
    run = {"status": "RUNNING", "activity": "judging"}
    away = httpx.Response(503, json={"detail": "The database cannot be reached."})
    server = Server(ok(run), refused(), away, away, ok(run), ok(run | {"status": "COMPLETED"}))
    async with server.client() as client:
        seen = [run async for run in client.follow("id")]
    assert [state["status"] for state in seen] == ["RUNNING"] * 4 + ["COMPLETED"]
    said = [state["activity"] for state in seen]
    assert said[0] == said[3] == "judging"
    assert said[1].startswith("Assay at http://assay cannot be reached.")
    assert said[2] == "The database cannot be reached."
    assert max(pauses) <= 5


async def test_following_ends_when_nobody_answers_for_long() -> None:
    server = Server(ok({"status": "RUNNING", "activity": "judging"}), refused())
    async with server.client() as client:
        with pytest.raises(Unavailable):
            async for _ in client.follow("id"):
                pass
    assert len(server.requests) == 121


async def test_what_a_run_waits_for_is_a_line_a_log_and_not_one_a_second(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def states() -> AsyncIterator[dict[str, Any]]:
        run = {"status": "RUNNING", "total_traces": 3, "evaluated_count": 0, "failed_count": 0}
        for second in range(5):
            yield run | {"activity": f"{9 - second} pairs wait for p until 12:00:0{second} UTC"}
        yield run | {"activity": "judging"}

    await screens.watch(states())
    assert capsys.readouterr().err.splitlines() == [
        "RUNNING: 0 of 3 traces · 9 pairs wait for p until 12:00:00 UTC",
        "RUNNING: 0 of 3 traces · judging",
    ]


Import = Callable[[Server], Awaitable[tuple[int, list[str]]]]


@pytest.fixture
def importing(tmp_path: Path) -> Import:
    """Imports three lines, two of them traces.

    Returns the number of stored traces, and the bad line.
    """
    file = tmp_path / "traces.jsonl"
    file.write_text('{"name": "one"}\n"two"\n{"name": "three", "trace_id": "given"}\n')

    async def run(server: Server) -> tuple[int, list[str]]:
        stored: list[None] = []
        bad: list[str] = []
        with JsonLines(str(file)) as lines:
            async with server.client() as client:
                await store_lines(
                    client, lines, on_stored=lambda: stored.append(None), on_bad=bad.append
                )
        return len(stored), bad

    return run


async def test_an_import_gives_each_trace_an_id_before_it_is_sent(importing: Import) -> None:
    server = Server(refused(), ok())
    assert (await importing(server))[0] == 2
    ids: dict[str, set[str]] = {}
    for request in server.requests:
        body = json.loads(request.content)
        ids.setdefault(body["name"], set()).add(body["trace_id"])
    assert ids["three"] == {"given"}
    assert len(ids["one"]) == 1


async def test_an_import_stops_when_every_line_would_meet_the_same_refusal(
    importing: Import,
) -> None:
    with pytest.raises(Unauthenticated):
        await importing(Server(httpx.Response(401, json={"detail": "Unknown key."})))
