"""Attacks one API process on this machine, and prints the result of each attack.

python -m bench.attack            # all attacks, about a minute
    python -m bench.attack bodies     # one

Everything stays on the loopback address, in a temporary folder. Each attack has a limit; the exit
code is 1 if an attack exceeds its limit.
"""

import asyncio
import gzip
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import psutil

from core.db.database import Database
from core.embedded.ports import free_port
from core.ids import Scope
from core.migrations import upgrade
from core.queries import api_keys, projects

MB = 1024 * 1024
ROOT = Path(__file__).resolve().parents[1]
JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}


_WATCHER = """
import http.client, select, sys, time, urllib.parse, psutil
process, url = psutil.Process(int(sys.argv[1])), urllib.parse.urlsplit(sys.argv[2])
peak, slowest = 0, 0.0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.02)[0]:
    peak = max(peak, process.memory_info().rss)
    began = time.perf_counter()
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.request("GET", url.path)
    connection.getresponse().read()
    connection.close()
    slowest = max(slowest, time.perf_counter() - began)
print(peak, slowest)
"""
"""Measures until its standard input is closed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    measured: str
    held: bool


class Target:
    """One API process under attack."""

    def __init__(self, process: psutil.Process, url: str, key: str) -> None:
        self.process = process
        self.url = url
        self.key = key
        self.peak = 0
        self.slowest_health = 0.0

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        headers = {"X-API-Key": self.key if key is None else key}
        limits = httpx.Limits(max_connections=None)
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=120, limits=limits)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Records the peak memory and the slowest health check."""
        self.peak, self.slowest_health = 0, 0.0
        # Runs in a separate process, because this process is busy with sending.
        watcher = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _WATCHER, str(self.process.pid), f"{self.url}/health"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert watcher.stdin is not None
        assert watcher.stdout is not None
        await watcher.stdout.readline()
        try:
            yield
        finally:
            watcher.stdin.close()
            told, _ = await watcher.communicate()
            peak, slowest = told.split()
            self.peak, self.slowest_health = int(peak), float(slowest)

    def cpu(self) -> float:
        used = self.process.cpu_times()
        return used.user + used.system

    @property
    def told(self) -> str:
        return f"peak {self.peak / MB:.0f} MB, slowest /health {1000 * self.slowest_health:.0f} ms"


@asynccontextmanager
async def target() -> AsyncIterator[Target]:
    with tempfile.TemporaryDirectory(prefix="assay-attack-") as folder:
        url, port = f"sqlite:///{folder}/assay.db", free_port()
        key = await _prepared(url)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")},
            **{"ASSAY_DATABASE_URL": url, "ASSAY_LOG_LEVEL": "ERROR", "MALLOC_ARENA_MAX": "2"},
        }
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "uvicorn", "api.app:create_app", "--factory"),
            *("--app-dir", str(ROOT), "--loop", "uvloop", "--no-access-log", "--port", str(port)),
            *("--http", "api.http.timed_protocol:TimedProtocol", "--log-level", "error"),
            env=environment,
            cwd=folder,
        )
        try:
            made = Target(psutil.Process(server.pid), f"http://127.0.0.1:{port}", key)
            await _until_up(made)
            yield made
        finally:
            server.kill()
            await server.wait()


async def _prepared(url: str) -> str:
    database = Database(url)
    await upgrade(database)
    async with database.write() as db:
        project = await projects.ensure(db, "attacked")
        _, key = await api_keys.create(db, api_keys.NewKey("attack", Scope.WRITE, project))
    await database.close()
    return key


async def _until_up(made: Target) -> None:
    async with asyncio.timeout(60), made.client() as client:
        while True:
            try:
                if (await client.get("/health")).is_success:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def bodies(made: Target, count: int = 50, size: int = 10 * MB - 2000) -> Outcome:
    """Many large bodies at once take bounded memory, and /health stays fast."""
    text = '{"name":"n","started_at":"2026-01-01T00:00:00Z","input":"' + "x" * (size - 200) + '"}'
    async with made.watched(), made.client() as client:
        answers = await asyncio.gather(
            *(client.post("/traces", content=text, headers=JSON) for _ in range(count))
        )
    statuses = [answer.status_code for answer in answers]
    told = f"{count} bodies of {size // MB + 1} MB: {statuses.count(202)} stored, "
    told += f"{statuses.count(503)} refused with 503; {made.told}"
    held = made.peak < 400 * MB and made.slowest_health < 0.25
    return Outcome(told, held and set(statuses) <= {202, 503})


async def keyless(made: Target, count: int = 50) -> Outcome:
    """Bodies without a key are not read, so they take neither memory nor processor time."""
    body = b'{"input":[' + b"[]," * (3 * MB) + b"0]}"
    before = made.cpu()
    async with made.watched(), made.client("unknown") as client:
        answers = await asyncio.gather(
            *(client.post("/traces", content=body, headers=JSON) for _ in range(count)),
            return_exceptions=True,
        )
    # A client that is still sending may notice the closed connection before the response.
    fine = all(not isinstance(a, httpx.Response) or a.status_code == 401 for a in answers)
    used = made.cpu() - before
    told = f"{count} bodies of 9 MB without a key: {used:.1f} s of processor time; {made.told}"
    return Outcome(told, fine and used < 10 and made.peak < 400 * MB)


async def keys(made: Target) -> Outcome:
    """An object with very many unknown keys gets a short refusal."""
    body = "{" + ",".join(f'"{n}":1' for n in range(700_000)) + "}"
    async with made.watched(), made.client() as client:
        answer = await client.post("/evaluations/trace-runs", content=body, headers=JSON)
    told = f"700,000 keys: {answer.status_code} of {len(answer.content)} bytes; {made.told}"
    return Outcome(told, answer.status_code in (413, 422) and len(answer.content) < 12_000)


async def spans(made: Target) -> Outcome:
    """A few compressed bytes do not become very many objects."""
    span = b"\x0a\x10" + b"\x01" * 16 + b"\x12\x08" + b"\x01" * 8 + b"\x39" + b"\x01" * 8
    content = span + b"\x5a\x00" * (5 * MB - 200)
    for _ in range(3):
        content = b"\x12" + _length(content) + content
    content = b"\x0a" + content[1:]
    before = made.cpu()
    async with made.watched(), made.client() as client:
        packed = gzip.compress(content)
        headers = PROTOBUF | {"Content-Encoding": "gzip"}
        answers = [
            await client.post("/v1/traces", content=packed, headers=headers),
            await client.post("/v1/traces", content=content, headers=PROTOBUF),
        ]
    used = made.cpu() - before
    statuses = [answer.status_code for answer in answers]
    told = f"5 million empty events, {len(packed)} bytes packed: {statuses}, {used:.1f} s of "
    return Outcome(
        f"{told}processor time; {made.told}", statuses == [413, 413] and made.peak < 400 * MB
    )


def _length(content: bytes) -> bytes:
    left, found = len(content), b""
    while left > 0x7F:
        found, left = found + bytes([left & 0x7F | 0x80]), left >> 7
    return found + bytes([left])


async def heads(made: Target, count: int = 1500) -> Outcome:
    """Incomplete requests are closed, and block no other client."""
    opened = [
        await asyncio.open_connection("127.0.0.1", int(made.url.rpartition(":")[2]))
        for _ in range(count)
    ]
    for _, writer in opened:
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n")
    async with made.client() as client:
        answered = (await client.get("/health")).is_success
    left = sum(one.status == "ESTABLISHED" for one in made.process.net_connections())
    for _, writer in opened:
        writer.close()
    told = f"{count} half-sent heads: {left} connections left open, /health answered: {answered}"
    return Outcome(told, answered and left < 600)


async def large_trace(made: Target) -> Outcome:
    """Other writers do not wait while a trace of the maximum size is changed."""
    trace_id = str(uuid4())
    begun = "2026-01-01T00:00:00Z"
    one = {"name": "s", "started_at": begun, "input": "x" * 1500}
    async with made.client() as client:
        whole = {"trace_id": trace_id, "name": "n", "started_at": begun}
        await client.post("/traces", json=whole)
        for _ in range(20):
            await client.post(f"/traces/{trace_id}/spans", json=[one] * 480)
        waits = []
        for _ in range(20):
            began = time.perf_counter()
            small = [{"name": "s", "started_at": begun}]
            await client.post(f"/traces/{trace_id}/spans", json=small)
            waits.append(time.perf_counter() - began)
    told = f"a small change of a trace of 9,600 spans: median {1000 * sorted(waits)[10]:.0f} ms"
    return Outcome(f"{told}, worst {1000 * max(waits):.0f} ms", sorted(waits)[10] < 0.1)


ATTACKS: dict[str, Callable[[Target], Awaitable[Outcome]]] = {
    "bodies": bodies,
    "keyless": keyless,
    "keys": keys,
    "spans": spans,
    "heads": heads,
    "large_trace": large_trace,
}


async def main(names: list[str]) -> bool:
    """Whether every limit held."""
    held = True
    for name in names or list(ATTACKS):
        # A new process per attack, so that memory freed by one attack does not distort the next.
        async with target() as made:
            outcome = await ATTACKS[name](made)
        held &= outcome.held
        print(f"{'held' if outcome.held else 'MISSED'}  {name}: {ATTACKS[name].__doc__}")
        print(f"        {outcome.measured}")
    return held


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(sys.argv[1:])) else 1)
