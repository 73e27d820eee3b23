"""Measures how long small runs take when many runs, one of them large, are posted at once.

python -m bench.fairness

All runs belong to one project. A small run waits for the pairs that are open when it starts, a
bounded number, and never for the whole large run. The time of each small run is compared with the
time of a small run alone.
"""

import argparse
import asyncio
import statistics
import time
from dataclasses import dataclass, field
from datetime import datetime

from bench.claims import Claim, Run, cancel, ended, look, post, report, store
from bench.run import METRICS
from bench.stack import Stack, embedded, mock_judge
from workflows.policies import Limits

TIMES = 3
SMALL_TRACES = 10
ALONE = 5
LATE = 5


@dataclass
class Figures:
    """Seconds from POST to the end of each small run, and the pairs judged meanwhile."""

    alone: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    pairs_per_second: float = 0.0
    large_share: float = 0.0

    def bound(self, in_flight: int) -> float:
        return TIMES * statistics.median(self.alone) + in_flight / self.pairs_per_second


def took(run: Run) -> float:
    moments = [datetime.fromisoformat(run[name]) for name in ("created_at", "completed_at")]
    return (moments[1] - moments[0]).total_seconds()


async def small(stack: Stack, number: int) -> Run:
    """A small run. Each run has its own traces, so that no answer is cached."""
    run = await post(stack, METRICS, first=number * SMALL_TRACES, count=SMALL_TRACES)
    return await ended(stack, run)


async def measure(stack: Stack, runs: int, large_traces: int) -> Figures:
    figures = Figures()
    numbers = iter(range(ALONE + 1 + runs + LATE))
    small_traces = len(range(ALONE + 1 + runs + LATE)) * SMALL_TRACES
    await store(stack, small_traces + large_traces)
    await small(stack, next(numbers))  # Warm-up.
    for _ in range(ALONE):
        figures.alone.append(took(await small(stack, next(numbers))))

    began = time.perf_counter()
    large, *ends = await asyncio.gather(
        post(stack, METRICS, first=small_traces, count=large_traces),
        *(small(stack, next(numbers)) for _ in range(runs - 1)),
    )
    seconds = time.perf_counter() - began
    figures.together = [took(run) for run in ends]
    of_large = (await look(stack, large))["evaluated_count"] * len(METRICS)
    of_small = len(ends) * SMALL_TRACES * len(METRICS)
    figures.pairs_per_second = (of_large + of_small) / seconds
    figures.large_share = of_large / (of_large + of_small)

    for _ in range(LATE):
        figures.late.append(took(await small(stack, next(numbers))))
    if (await look(stack, large))["status"] != "RUNNING":
        raise RuntimeError("The large run ended too soon: give it more traces with --large.")
    await cancel(stack, large)
    return figures


def claims(figures: Figures, runs: int) -> list[Claim]:
    limits = Limits()
    of_large = limits.pairs_in_flight * limits.batches_open
    of_others = (runs - 2) * SMALL_TRACES * len(METRICS)
    found = [
        Claim("a small run alone, median", f"{statistics.median(figures.alone):.1f} s"),
        Claim("pairs per second, all together", f"{figures.pairs_per_second:.0f}"),
        Claim("of them of the large run", f"{figures.large_share:.0%}"),
    ]
    for what, times, in_flight in (
        (f"{runs - 1} small runs at once beside it", figures.together, of_large + of_others),
        ("one small run beside it", figures.late, of_large),
    ):
        bound = figures.bound(in_flight)
        found.append(
            Claim(
                what,
                f"p50 {statistics.median(times):.1f} s, slowest {max(times):.1f} s",
                f"≤ {bound:.1f} s: {TIMES} × alone + {in_flight} pairs",
                max(times) <= bound,
            )
        )
    return found


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--large", type=int, default=3_000, help="Traces of the large run.")
    parser.add_argument("--latency", type=float, default=0.2, help="Seconds per judge call.")
    options = parser.parse_args()
    async with mock_judge("--latency", str(options.latency)) as judge, embedded(judge) as stack:
        figures = await measure(stack, options.runs, options.large)
    report("A large run and many small ones", claims(figures, options.runs))


if __name__ == "__main__":
    asyncio.run(main())
