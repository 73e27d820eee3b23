"""Checks that ASSAY_JUDGE_MAX_PER_SECOND holds over all workers together.

python -m bench.rate_limit --limit 20 --seconds 60

One run has more pairs than the limit allows in this time; each pair is one judge call. It is
measured with one worker and with two. The count of calls at the judge is sampled every tenth of a
second.
"""

import argparse
import asyncio
import time
from dataclasses import dataclass

from bench.claims import Claim, calls, cancel, post, report, store
from bench.stack import Stack, control, embedded, mock_judge

METRIC = "argument_correctness"
WORKERS = (1, 2)
LOOK_SECONDS = 0.1
MAX_DEVIATION = 0.10
BURST_SECONDS = 1.0


@dataclass(frozen=True)
class Look:
    at: float
    calls: int


def per_second(looks: list[Look], seconds: float) -> float:
    """The rate over this many seconds after the first call."""
    began = next(look for look in looks if look.calls)
    within = [look for look in looks if look.at <= began.at + seconds]
    return (within[-1].calls - began.calls) / (within[-1].at - began.at)


def busiest(looks: list[Look], seconds: float = BURST_SECONDS) -> int:
    """The maximum number of calls in any window of this many seconds."""
    most, start = 0, 0
    for end in looks:
        while end.at - looks[start].at > seconds:
            start += 1
        most = max(most, end.calls - looks[start].calls)
    return most


async def measure(stack: Stack, limit: float, seconds: float) -> list[Look]:
    pairs = int(limit * seconds * 1.5)
    await store(stack, pairs)
    await control(stack, reset=True)
    run = await post(stack, [METRIC], first=0, count=pairs)
    looks = [Look(time.perf_counter(), await calls(stack))]
    began: float | None = None
    while began is None or looks[-1].at < began + seconds:
        await asyncio.sleep(LOOK_SECONDS)
        looks.append(Look(time.perf_counter(), await calls(stack)))
        if began is None and looks[-1].calls:
            began = looks[-1].at
    await cancel(stack, run)
    return looks


def claims(workers: int, looks: list[Look], limit: float, seconds: float) -> list[Claim]:
    rate = per_second(looks, seconds)
    off = rate / limit - 1
    name = f"{workers} worker{'s' if workers > 1 else ''}"
    return [
        Claim(
            f"judge calls per second, {name}",
            f"{rate:.1f} ({off:+.0%})",
            f"{limit:g} ± {MAX_DEVIATION:.0%}",
            abs(off) <= MAX_DEVIATION,
        ),
        Claim(f"most within any second, {name}", str(busiest(looks))),
    ]


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    found: list[Claim] = []
    for workers in WORKERS:
        settings = {"ASSAY_JUDGE_MAX_PER_SECOND": str(options.limit)}
        async with (
            mock_judge("--latency", "0.05") as judge,
            embedded(judge, workers=workers, settings=settings) as stack,
        ):
            looks = await measure(stack, options.limit, options.seconds)
        found += claims(workers, looks, options.limit, options.seconds)
    report("A rate limit of the judge queue", found)


if __name__ == "__main__":
    asyncio.run(main())
