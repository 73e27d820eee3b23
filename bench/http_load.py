"""An HTTP client for load tests: keep-alive, prepared requests, little work per request."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

CONNECTIONS = 16


@dataclass
class Answers:
    """Milliseconds per request, and the total duration."""

    times_ms: list[float] = field(default_factory=list)
    wall_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.times_ms) / self.wall_seconds

    def percentile(self, percent: int) -> float:
        ordered = sorted(self.times_ms)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def send(
    port: int, requests: Sequence[bytes], *, status: int, connections: int = CONNECTIONS
) -> Answers:
    """Sends all requests; each connection sends its next request after a response.

    Raises for another status.
    """
    waiting = iter(requests)
    answers = Answers()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_connection(port, waiting, status, answers))
    answers.wall_seconds = time.perf_counter() - began
    return answers


async def _connection(port: int, waiting: Iterator[bytes], status: int, answers: Answers) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for content in waiting:
        answers.times_ms.append(await exchange(reader, writer, content, status))
    writer.close()


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes, status: int
) -> float:
    """Milliseconds until the response. Raises for another status."""
    began = time.perf_counter()
    writer.write(content)
    head = await reader.readuntil(b"\r\n\r\n")
    body = await _body(reader, head)
    took = 1000 * (time.perf_counter() - began)
    if int(head.split(b" ", 2)[1]) != status:
        raise RuntimeError(f"{content[:200]!r} was answered {head[:40]!r} {body[:300]!r}")
    return took


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """A body of a stated length, or one that is streamed in chunks."""
    length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
    if length:
        return await reader.readexactly(int(length))
    parts: list[bytes] = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(parts)
