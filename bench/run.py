"""A run over synthetic traces through the whole embedded stack: `python -m bench.run`.

Everything shares this machine: Temporal, worker, API, mock judge and this client.
"""

import argparse
import asyncio
import statistics
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from rich.console import Console
from rich.table import Table

from bench.stack import Stack, control, embedded, mock_judge

METRICS = ["task_completion", "tool_correctness", "step_efficiency"]
START = datetime(2026, 9, 1, 9, 0, tzinfo=UTC)
IDLE_POSTS = 20
POLL_SECONDS = 0.25


@dataclass
class Figures:
    traces: int
    wall_seconds: float = 0.0
    posts_ms: list[float] = field(default_factory=list)
    gets_ms: list[float] = field(default_factory=list)
    peak_mb: dict[str, float] = field(default_factory=dict)
    cpu_ms_a_pair: dict[str, float] = field(default_factory=dict)
    calls: int = 0
    repeats: int = 0
    failed: int = 0

    @property
    def pairs(self) -> int:
        return self.traces * len(METRICS)


def trace(number: int) -> dict[str, Any]:
    """A support conversation of four turns with two tool calls, about 3 KB."""
    order = f"{4000 + number}"
    asked = f"Where is my order {order}, and can it still go to another address?"
    answer = f"Order {order} leaves tomorrow; I changed its address to 12 Mill Lane."
    moment = START + timedelta(seconds=number)

    def span(name: str, kind: str, second: int, **fields: Any) -> dict[str, Any]:
        return {
            "span_id": str(uuid5(UUID(int=number), f"{name}{second}")),
            "name": name,
            "kind": kind,
            "status": "OK",
            "started_at": (moment + timedelta(seconds=second)).isoformat(),
            "ended_at": (moment + timedelta(seconds=second + 1)).isoformat(),
            **fields,
        }

    state = {"order": order, "state": "packed", "items": [f"item {n}" for n in range(20)]}
    change = {"order": order, "address": "12 Mill Lane"}
    return {
        "trace_id": str(uuid5(UUID(int=number), "trace")),
        "name": f"order {order}",
        "input": asked,
        "output": answer,
        "started_at": moment.isoformat(),
        "ended_at": (moment + timedelta(seconds=6)).isoformat(),
        "session_id": f"session-{number // 4}",
        "spans": [
            span("support-agent", "AGENT", 0, input=asked, output=answer),
            span("find_order", "TOOL", 1, input={"order": order}, output=state),
            span("change_address", "TOOL", 3, input=change, output={"done": True}),
            span("chat", "LLM", 5, model="gpt-4o", input={"question": asked}, output=answer),
        ],
    }


async def measure(stack: Stack, traces: int) -> Figures:
    figures = Figures(traces)
    await store(stack, traces)
    await _post_on_idle(stack, figures)
    await control(stack, reset=True)
    before = stack.cpu_seconds()
    started = time.perf_counter()
    run = await post(stack, {"metrics": METRICS, "filters": {"date_from": START.isoformat()}})
    run = await follow(stack, run, figures)
    figures.wall_seconds = time.perf_counter() - started
    after = stack.cpu_seconds()
    figures.cpu_ms_a_pair = {
        role: 1000 * (after[role] - before[role]) / figures.pairs for role in sorted(after)
    }
    stats = (await stack.judge.get("/stats")).json()
    figures.calls, figures.repeats = stats["calls"], stats["repeats"]
    figures.failed = run["failed_count"]
    if run["status"] != "COMPLETED" or run["evaluated_count"] != traces:
        raise RuntimeError(f"The run did not complete: {run}")
    return figures


async def store(stack: Stack, traces: int) -> None:
    turns = asyncio.Semaphore(16)

    async def store(number: int) -> None:
        async with turns:
            (await stack.client.post("/traces", json=trace(number))).raise_for_status()

    await asyncio.gather(*(store(number) for number in range(traces)))


async def post(stack: Stack, body: dict[str, Any], path: str = "") -> dict[str, Any]:
    answer = await stack.client.post(f"/evaluations/trace-runs{path}", json=body)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


async def _post_on_idle(stack: Stack, figures: Figures) -> None:
    for number in range(IDLE_POSTS):
        body = {"metrics": METRICS[:1], "trace_ids": [trace(number)["trace_id"]]}
        started = time.perf_counter()
        run = await post(stack, body, "/batch")
        figures.posts_ms.append(1000 * (time.perf_counter() - started))
        await follow(stack, run, Figures(1))


async def follow(
    stack: Stack, run: dict[str, Any], figures: Figures | None = None
) -> dict[str, Any]:
    while run["status"] in ("PENDING", "RUNNING"):
        await asyncio.sleep(POLL_SECONDS)
        started = time.perf_counter()
        answer = await stack.client.get(f"/evaluations/trace-runs/{run['id']}")
        if answer.status_code >= 300:
            raise RuntimeError(f"GET of the run was answered {answer.status_code}: {answer.text}")
        run = answer.json()
        if figures is None:
            continue
        figures.gets_ms.append(1000 * (time.perf_counter() - started))
        for role, size in stack.resident_mb().items():
            figures.peak_mb[role] = max(figures.peak_mb.get(role, 0), size)
    return run


def show(figures: Figures, latency: float, workers: int) -> None:
    rows = {
        "traces × metrics": f"{figures.traces} × {len(METRICS)} = {figures.pairs} pairs",
        "judge": f"{latency * 1000:.0f} ms per call",
        "judge calls": f"{figures.calls}, of them {figures.repeats} repeated",
        "worker processes": str(workers),
        "POST to COMPLETED": f"{figures.wall_seconds:.1f} s",
        "pairs per second": f"{figures.pairs / figures.wall_seconds:.0f}",
        "failed pairs": str(figures.failed),
        "POST of a run, idle, p50": f"{statistics.median(figures.posts_ms):.0f} ms",
        "GET of a running run, p50": f"{statistics.median(figures.gets_ms):.0f} ms",
        **{f"peak memory, {role}": f"{mb:.0f} MB" for role, mb in figures.peak_mb.items()},
        **{f"CPU per pair, {role}": f"{ms:.1f} ms" for role, ms in figures.cpu_ms_a_pair.items()},
    }
    table = Table(title="A run through the whole embedded stack", show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    Console(width=100).print(table)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=200)
    parser.add_argument("--latency", type=float, default=0.2, help="Seconds per judge call.")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    async with (
        mock_judge("--latency", str(options.latency)) as judge,
        embedded(judge, workers=options.workers) as stack,
    ):
        show(await measure(stack, options.traces), options.latency, options.workers)


if __name__ == "__main__":
    asyncio.run(main())
