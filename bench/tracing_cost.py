"""What exported spans cost: `python -m bench.tracing_cost`.

The same run with and without spans, in turn. This process collects the spans and counts them.
"""

import argparse
import asyncio
import gzip
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console
from rich.table import Table

from bench.run import METRICS, START, follow, post, store
from bench.stack import Stack, embedded, mock_judge
from core.embedded.ports import LOCALHOST, free_port

EXPORT_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 3.0
"""After a run, so that its last spans are exported; the run without spans waits, too."""

ROLES: Final = ("worker-1", "api", "temporal")


@dataclass
class Sink:
    address: str
    spans: int = 0


@dataclass
class Measured:
    """CPU time per pair by role, in milliseconds, and spans per pair."""

    cpu_ms: dict[str, list[float]] = field(default_factory=lambda: {role: [] for role in ROLES})
    spans: list[float] = field(default_factory=list)


@asynccontextmanager
async def collecting() -> AsyncIterator[Sink]:
    sink = Sink(f"http://{LOCALHOST}:{(port := free_port())}")

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        sent = ExportTraceServiceRequest.FromString(body)
        sink.spans += sum(
            len(scope.spans) for resource in sent.resource_spans for scope in resource.scope_spans
        )
        return web.Response()

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOCALHOST, port).start()
        yield sink
    finally:
        await runner.cleanup()


def settings(sink: Sink, *, exports: bool) -> dict[str, str]:
    return {
        "OTEL_TRACES_EXPORTER": "otlp" if exports else "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.address,
        "OTEL_BSP_SCHEDULE_DELAY": str(int(1000 * EXPORT_SECONDS)),
    }


async def measure(stack: Stack, sink: Sink, traces: int, into: Measured) -> None:
    await store(stack, traces)
    await asyncio.sleep(SETTLE_SECONDS)
    before, spans = stack.cpu_seconds(), sink.spans
    body = {"metrics": METRICS, "filters": {"date_from": START.isoformat()}}
    run = await follow(stack, await post(stack, body))
    await asyncio.sleep(SETTLE_SECONDS)
    after, pairs = stack.cpu_seconds(), traces * len(METRICS)
    if run["status"] != "COMPLETED" or run["failed_count"]:
        raise RuntimeError(f"The run did not complete: {run}")
    for role in ROLES:
        into.cpu_ms[role].append(1000 * (after[role] - before[role]) / pairs)
    into.spans.append((sink.spans - spans) / pairs)


def show(found: dict[bool, Measured], traces: int) -> None:
    table = Table("per pair", "without spans", "with spans", title=f"{traces} traces × 3 metrics")
    for role in ROLES:
        table.add_row(f"CPU of {role}", *(_ms(found[one].cpu_ms[role]) for one in (False, True)))
    table.add_row("spans", *(f"{statistics.median(found[on].spans):.1f}" for on in (False, True)))
    Console(width=100).print(table)


def _ms(rounds: list[float]) -> str:
    return f"{statistics.median(rounds):.2f} ms ({min(rounds):.2f} to {max(rounds):.2f})"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.2, help="Seconds per judge call.")
    options = parser.parse_args()
    found = {False: Measured(), True: Measured()}
    async with collecting() as sink, mock_judge("--latency", str(options.latency)) as judge:
        for number in range(2 * options.rounds):
            exports = number % 2 == 1
            async with embedded(judge, settings=settings(sink, exports=exports)) as stack:
                await measure(stack, sink, options.traces, found[exports])
    show(found, options.traces)


if __name__ == "__main__":
    asyncio.run(main())
