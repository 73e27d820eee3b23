"""Assay compared with a floor:

`python -m bench.throughput`.

The floor is an asyncio client that makes the calls one after another for each pair, at the same
concurrency, to the same mock judge on the same machine, and stores nothing. The difference is the
cost of durability, sharing and scores.
"""

import argparse
import asyncio
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.floor import floor_seconds
from bench.run import METRICS, Figures, measure
from bench.stack import Stack, control, embedded, mock_judge

CONCURRENCY = 100
LATENCIES = (0.0, 0.2, 1.0)
SIZES = (200, 2000)


@dataclass(frozen=True, slots=True)
class Row:
    """One size at one latency: the time of the run, and of the floor for the same number of
    calls.
    """

    latency: float
    figures: Figures
    floor: float

    def cells(self) -> list[str]:
        ours, pairs = self.figures.wall_seconds, self.figures.pairs
        cpu = self.figures.cpu_ms_a_pair
        worker = sum(ms for role, ms in cpu.items() if role.startswith("worker"))
        return [
            f"{1000 * self.latency:.0f} ms",
            f"{self.figures.traces} × {len(METRICS)}",
            f"{self.figures.calls} ({self.figures.repeats})",
            f"{self.floor:.1f} s",
            f"{ours:.1f} s",
            f"{ours / self.floor:.2f}",
            f"{pairs / ours:.0f}",
            f"{worker:.1f} ms",
            f"{cpu['temporal']:.1f} ms",
            str(self.figures.failed),
        ]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1, help="Worker processes.")
    parser.add_argument("--traces", type=int, nargs="+", default=SIZES)
    parser.add_argument("--latency", type=float, nargs="+", default=LATENCIES, help="Seconds.")
    options = parser.parse_args()
    rows = [
        await row(latency, traces, options.workers)
        for latency in options.latency
        for traces in options.traces
    ]
    show(rows, options.workers)


async def row(latency: float, traces: int, workers: int) -> Row:
    """Uses a new stack per row, so that no answer is cached."""
    slots = {"ASSAY_JUDGE_CONCURRENCY": str(CONCURRENCY // workers)}
    async with (
        mock_judge("--latency", str(latency)) as judge,
        embedded(judge, workers=workers, settings=slots) as stack,
    ):
        figures = await measure(stack, traces)
        return Row(latency, figures, await floor(stack, figures.calls - figures.repeats))


async def floor(stack: Stack, calls: int) -> float:
    await control(stack, reset=True)
    return await floor_seconds(str(stack.judge.base_url), calls, CONCURRENCY)


def show(rows: list[Row], workers: int) -> None:
    title = f"Throughput, {CONCURRENCY} calls at once, {workers} worker processes"
    table = Table(title=title)
    for name in (
        "judge",
        "traces × metrics",
        "calls (repeated)",
        "floor",
        "ours",
        "ours ÷ floor",
        "pairs/s",
        "CPU per pair: workers",
        "Temporal",
        "failed",
    ):
        table.add_column(name, justify="right")
    for one in rows:
        table.add_row(*one.cells())
    Console(width=120).print(table)


if __name__ == "__main__":
    asyncio.run(main())
