"""A judge without a model: answers any schema in OpenAI's protocol.

    python -m bench.mock_judge --port 0 --latency 0.2

The first printed line is the port. `GET /stats` returns counts of the requests; `POST /control`
takes the same names as the options, `outage`, `refusal` and `reset`. The same body always gets the
same answer, and scores are always in range.
"""

import argparse
import asyncio
import signal
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from hashlib import blake2b
from random import Random
from typing import Any, cast

import orjson
import uvloop

from bench.mock_answers import answer_for
from bench.mock_behaviour import REFUSALS, Behaviour, Silence, error_body

_REASONS = {200: b"OK", 404: b"Not Found", 429: b"Too Many Requests", 500: b"Internal Server Error"}
_ONLY_BY_CONTROL = {"outage", "refusal", "only_model", "keys"}


@dataclass(slots=True)
class Counts:
    """`answered` counts good answers; `answered_again` counts repeated answers to one question.

    `abandoned` counts calls whose client had disconnected when the answer was ready. `keys` counts
    calls by their API key.
    """

    calls: int = 0
    repeats: int = 0
    in_flight: int = 0
    peak: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    answered_again: int = 0
    abandoned: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    seen: set[bytes] = field(default_factory=set)
    answered: set[bytes] = field(default_factory=set)

    def stats(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "repeats": self.repeats,
            "distinct": len(self.seen),
            "in_flight": self.in_flight,
            "peak_concurrency": self.peak,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "answered": len(self.answered),
            "answered_again": self.answered_again,
            "abandoned": self.abandoned,
            "statuses": dict(sorted(self.ends.items())),
            "keys": dict(sorted(self.keys.items())),
        }


class MockJudge:
    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.counts = Counts()
        self._luck = Random(20)
        self._second = 0
        self._in_second = 0

    def control(self, body: bytes) -> dict[str, Any]:
        wanted = orjson.loads(body or b"{}")
        if wanted.get("reset"):
            # Keeps the count of open calls, which decreases as they end.
            self.counts = Counts(in_flight=self.counts.in_flight)
        self.behaviour = self.behaviour.changed(wanted)
        return asdict(self.behaviour)

    def arrive(self, body: bytes, key: str) -> None:
        counts = self.counts
        counts.keys[key] += 1
        digest = _digest(body)
        counts.calls += 1
        counts.repeats += digest in counts.seen
        counts.seen.add(digest)
        counts.in_flight += 1
        counts.peak = max(counts.peak, counts.in_flight)

    def accepts(self, key: str) -> bool:
        keys = self.behaviour.keys
        return not keys or key in keys.split(",")

    def delay(self) -> float:
        spread = self.behaviour.spread
        return max(0.0, self.behaviour.latency + self._luck.uniform(-spread, spread))

    def fate(self, now: float, body: bytes) -> int | Silence:
        """The status of the response, or the way in which the call gets no answer."""
        behaviour = self.behaviour
        if behaviour.only_model and orjson.loads(body).get("model") != behaviour.only_model:
            return 200
        if behaviour.outage:
            return 503
        if behaviour.refusal:
            return REFUSALS[behaviour.refusal].status
        if behaviour.max_per_second and self._beyond_rate(int(now)):
            return 429
        chances: tuple[tuple[float, int | Silence], ...] = (
            (behaviour.rate_429, 429),
            (behaviour.rate_500, 500),
            (behaviour.rate_hang, Silence.HANG),
            (behaviour.rate_reset, Silence.RESET),
        )
        for rate, fate in chances:
            if rate and self._luck.random() < rate:
                return fate
        return 200

    def _beyond_rate(self, second: int) -> bool:
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return self._in_second > self.behaviour.max_per_second

    def depart(self, fate: int | Silence) -> None:
        self.counts.in_flight -= 1
        self.counts.ends[str(fate)] += 1

    def _count_answer(self, body: bytes) -> None:
        digest = _digest(body)
        self.counts.answered_again += digest in self.counts.answered
        self.counts.answered.add(digest)

    def completion(self, body: bytes) -> bytes:
        asked = orjson.loads(body)
        text = answer_for(asked)
        if self.behaviour.malformed and self._luck.random() < self.behaviour.malformed:
            text = f"I would rather say: {text[: len(text) // 2]}"
        else:
            self._count_answer(body)
        tokens = len(body) // 4
        self.counts.prompt_tokens += tokens
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if asked.get("tools"):
            name = asked["tools"][0]["function"]["name"]
            call = {"id": "call_1", "type": "function"}
            function = {"name": name, "arguments": text}
            message = {**message, "content": None, "tool_calls": [{**call, "function": function}]}
        answered = len(text) // 4 + 1
        self.counts.completion_tokens += answered
        return orjson.dumps(
            {
                "id": "chatcmpl-mock",
                "object": "chat.completion",
                "created": 1_700_000_000,
                "model": asked.get("model", "mock"),
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {
                    "prompt_tokens": tokens,
                    "completion_tokens": answered,
                    "total_tokens": tokens + answered,
                },
            }
        )


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=12).digest()


class Connection(asyncio.Protocol):
    """One persistent connection of a client, with one request at a time."""

    def __init__(self, judge: MockJudge, loop: asyncio.AbstractEventLoop) -> None:
        self._judge = judge
        self._loop = loop
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._hanging = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        if self._hanging:
            self._judge.depart(Silence.HANG)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (request := self._next_request()) is not None:
            self._serve(*request)

    def _next_request(self) -> tuple[str, str, bytes] | None:
        """Path, API key and body."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self._buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return None
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        _, _, key = head.partition(b"authorization: bearer ")
        return head.split(b" ", 2)[1].decode(), key.split(b"\r\n", 1)[0].decode(), body

    def _serve(self, path: str, key: str, body: bytes) -> None:
        judge = self._judge
        if path == "/stats":
            self._send(200, orjson.dumps(judge.counts.stats()))
        elif path == "/control":
            self._send(200, orjson.dumps(judge.control(body)))
        elif not path.endswith("/chat/completions"):
            self._send(404, b'{"error":{"message":"Only /chat/completions is served here."}}')
        else:
            judge.arrive(body, key)
            self._loop.call_later(judge.delay(), self._answer, body, key)

    def _answer(self, body: bytes, key: str) -> None:
        judge = self._judge
        judge.counts.abandoned += self._transport is None
        fate = judge.fate(self._loop.time(), body) if judge.accepts(key) else 401
        if fate is Silence.HANG and self._transport is not None:
            self._hanging = True
            return
        judge.depart(fate)
        if fate is Silence.RESET:
            self._break_off()
        elif fate == 200:
            self._send(200, judge.completion(body))
        elif isinstance(fate, int):
            self._refuse(fate)

    def _refuse(self, status: int) -> None:
        behaviour = self._judge.behaviour
        name = "key" if status == 401 else behaviour.refusal
        refusal = REFUSALS.get(name) if not behaviour.outage else None
        header = b"" if refusal or status != 429 else b"retry-after: %g\r\n" % behaviour.retry_after
        self._send(status, error_body(status, refusal), header)

    def _break_off(self) -> None:
        if self._transport is None:
            return
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n"
        self._transport.write(head + b'{"id": "chatcmpl-mock", "choi')
        self._transport.close()

    def _send(self, status: int, body: bytes, header: bytes = b"") -> None:
        if self._transport is None:
            return
        reason = _REASONS.get(status, b"Unavailable")
        head = b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\n" % (status, reason)
        length = b"content-length: %d\r\n\r\n" % len(body)
        self._transport.write(head + header + length + body)


async def serve(port: int, behaviour: Behaviour) -> None:
    loop = asyncio.get_running_loop()
    judge = MockJudge(behaviour)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    server = await loop.create_server(
        lambda: Connection(judge, loop), "127.0.0.1", port, backlog=2048
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    for known in fields(Behaviour):
        if known.name not in _ONLY_BY_CONTROL:
            option = f"--{known.name.replace('_', '-')}"
            parser.add_argument(option, type=float, default=known.default)
    options = vars(parser.parse_args())
    port = options.pop("port")
    uvloop.run(serve(port, Behaviour(**options)))


if __name__ == "__main__":
    main()
