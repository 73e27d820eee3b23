"""Measures memory growth and slow-down over a long run through the embedded stack.

python -m bench.large_run --pairs 100000

Prints the memory of each process, the judge's calls per second in each tenth of the run, and the
longest history of any workflow. The judge takes `--latency` seconds, plus or minus `--spread`.
"""

import argparse
import asyncio
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from temporalio.client import Client

from bench.claims import OPEN, Claim, Run, calls, look, post, report, store
from bench.run import METRICS
from bench.stack import Stack, control, embedded, mock_judge

SAMPLE_SECONDS = 1.0
MAX_GROWTH_MB = 50.0
MAX_EVENTS = 5_000
MAX_DEVIATION = 0.15
WARM_PAIRS = 10_000
PARTS = 10


@dataclass(frozen=True)
class Sample:
    at: float
    calls: int
    mb: dict[str, float]


@dataclass
class Figures:
    traces: int
    samples: list[Sample] = field(default_factory=list)
    wall_seconds: float = 0.0
    run: Run = field(default_factory=dict)
    longest: dict[str, int] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        return self.traces * len(METRICS)


def seconds_per_part(samples: Sequence[Sample], parts: int = PARTS) -> list[float]:
    """The duration of each part of the calls, interpolated between samples."""
    return [after - before for before, after in pairwise(_moments(samples, parts))]


def _moments(samples: Sequence[Sample], parts: int) -> list[float]:
    counts = [sample.calls for sample in samples]
    first = counts.index(next(count for count in counts if count > 0))
    since, total = samples[first].calls, samples[-1].calls - samples[first].calls
    return [_moment(samples, counts, since + total * part / parts) for part in range(parts + 1)]


def _moment(samples: Sequence[Sample], counts: Sequence[int], wanted: float) -> float:
    """The time at which this number of calls had been made."""
    later = bisect_left(counts, wanted)
    after = samples[later]
    if after.calls == wanted or later == 0:
        return after.at
    before = samples[later - 1]
    share = (wanted - before.calls) / (after.calls - before.calls)
    return before.at + share * (after.at - before.at)


def deviation(seconds: Sequence[float]) -> float:
    """The largest relative deviation of a part's rate from the overall rate."""
    mean = sum(seconds) / len(seconds)
    return max(abs(mean / part - 1) for part in seconds)


def growth_mb(samples: Sequence[Sample], role: str, *, warm_calls: float) -> float:
    """Growth of memory after the warm-up."""
    warm = [sample.mb[role] for sample in samples if sample.calls >= warm_calls]
    return max(warm) - warm[0]


def _mb_by_part(samples: Sequence[Sample], role: str, parts: int = PARTS) -> list[float]:
    """Memory at the end of each part."""
    total = samples[-1].calls
    wanted = [total * part / parts for part in range(1, parts + 1)]
    return [next(s.mb[role] for s in samples if s.calls >= count) for count in wanted]


async def measure(stack: Stack, traces: int) -> Figures:
    figures = Figures(traces)
    await store(stack, traces)
    await control(stack, reset=True)
    began = time.perf_counter()
    run = await post(stack, METRICS, first=0, count=traces)
    while run["status"] in OPEN:
        await asyncio.sleep(SAMPLE_SECONDS)
        run = await look(stack, run)
        figures.samples.append(
            Sample(time.perf_counter() - began, await calls(stack), stack.resident_mb())
        )
    figures.wall_seconds = time.perf_counter() - began
    figures.run = run
    figures.longest = await longest_histories(stack)
    return figures


async def longest_histories(stack: Stack) -> dict[str, int]:
    """The longest history per workflow type, in events. Visibility is updated with a delay."""
    client = await Client.connect(stack.temporal)
    longest: dict[str, int] = {}
    async for found in client.list_workflows("ExecutionStatus != 'Running'"):
        kind, events = found.workflow_type, found.history_length
        longest[kind] = max(longest.get(kind, 0), events)
    return longest


def claims(figures: Figures) -> list[Claim]:
    run, samples = figures.run, figures.samples
    parts = seconds_per_part(samples)
    made = samples[-1].calls
    warm_pairs = min(WARM_PAIRS, figures.pairs // 5)
    warm_calls = made * warm_pairs / figures.pairs
    done = run["status"] == "COMPLETED" and run["evaluated_count"] == figures.traces
    off = deviation(parts)
    rates = ", ".join(f"{figures.pairs / PARTS / part:.0f}" for part in parts)
    found = [
        Claim("pairs", f"{figures.pairs}, {run['failed_count']} failed", "all judged", done),
        Claim("POST to COMPLETED", f"{figures.wall_seconds:.0f} s"),
        Claim("pairs per second", f"{figures.pairs / figures.wall_seconds:.0f}"),
        Claim("pairs per second, by tenth", rates),
        Claim(
            "farthest tenth from the mean",
            f"{off:.0%}",
            f"≤ {MAX_DEVIATION:.0%}",
            off <= MAX_DEVIATION,
        ),
    ]
    for kind, events in sorted(figures.longest.items()):
        target = f"< {MAX_EVENTS} events"
        found.append(Claim(f"longest history, {kind}", str(events), target, events < MAX_EVENTS))
    for role in sorted(samples[-1].mb):
        grown = growth_mb(samples, role, warm_calls=warm_calls)
        figure = f"{grown:+.0f} MB, to {max(sample.mb[role] for sample in samples):.0f} MB"
        by_part = _mb_by_part(samples, role)
        found.append(Claim(f"MB by tenth, {role}", ", ".join(f"{mb:.0f}" for mb in by_part)))
        # Memory of Temporal's development server does not count.
        target = "" if role == "temporal" else f"≤ {MAX_GROWTH_MB:.0f} MB"
        holds = role == "temporal" or grown <= MAX_GROWTH_MB
        found.append(Claim(f"memory after {warm_pairs} pairs, {role}", figure, target, holds))
    return found


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--latency", type=float, default=0.01, help="Seconds per judge call.")
    parser.add_argument("--spread", type=float, default=0.01)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    judged = ("--latency", str(options.latency), "--spread", str(options.spread))
    async with mock_judge(*judged) as judge, embedded(judge, workers=options.workers) as stack:
        figures = await measure(stack, options.pairs // len(METRICS))
    report("A long run through the whole embedded stack", claims(figures))


if __name__ == "__main__":
    asyncio.run(main())
