"""Many slow judge calls open at once from one worker: `python -m bench.open_calls`.

The number of open pairs of a run is limited, so several runs share the worker.
"""

import argparse
import asyncio
from dataclasses import dataclass

from bench.claims import Claim, ended, post, report, store
from bench.run import METRICS
from bench.stack import Stack, embedded, mock_judge

CALLS = 500
RUNS = 3
MAX_WORKER_MB = 450.0
SAMPLE_SECONDS = 0.5


@dataclass(slots=True)
class Peaks:
    calls: int = 0
    worker_mb: float = 0.0

    async def watch(self, stack: Stack) -> None:
        while True:
            self.calls = (await stack.judge.get("/stats")).json()["peak_concurrency"]
            self.worker_mb = max(self.worker_mb, stack.resident_mb()["worker-1"])
            await asyncio.sleep(SAMPLE_SECONDS)


async def measure(calls: int, latency: float) -> Peaks:
    traces = calls
    async with (
        mock_judge("--latency", str(latency)) as judge,
        embedded(judge, settings={"ASSAY_JUDGE_CONCURRENCY": str(calls)}) as stack,
    ):
        await store(stack, RUNS * traces)
        peaks = Peaks()
        watching = asyncio.create_task(peaks.watch(stack))
        runs = [
            await post(stack, METRICS, first=number * traces, count=traces)
            for number in range(RUNS)
        ]
        await asyncio.gather(*(ended(stack, run) for run in runs))
        watching.cancel()
        return peaks


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--latency", type=float, default=3.0, help="Seconds per judge call.")
    options = parser.parse_args()
    peaks = await measure(options.calls, options.latency)
    report(
        f"Calls of {options.latency:g} s open at once from one worker",
        [
            Claim(
                "calls open at once, peak",
                str(peaks.calls),
                f"{options.calls}",
                peaks.calls >= options.calls,
            ),
            Claim(
                "memory of the worker, peak",
                f"{peaks.worker_mb:.0f} MB",
                f"≤ {MAX_WORKER_MB:.0f} MB",
                peaks.worker_mb <= MAX_WORKER_MB,
            ),
        ],
    )


if __name__ == "__main__":
    asyncio.run(main())
