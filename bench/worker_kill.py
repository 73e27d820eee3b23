"""Judge calls that are paid twice after a worker was killed: `python -m bench.worker_kill`.

Two workers hold many calls open; one of them is killed. Its open calls are asked again, because
nobody received their answers. Every other repeated call had an answer that was lost.
"""

import argparse
import asyncio
from typing import Any, Final

from bench.claims import Claim, ended, post, report, store
from bench.run import METRICS
from bench.stack import Stack, embedded, mock_judge

MAX_LOST_ANSWERS: Final = 10
LOOK_SECONDS: Final = 0.05


async def stats(stack: Stack) -> dict[str, Any]:
    answer: dict[str, Any] = (await stack.judge.get("/stats")).json()
    return answer


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=100, help="Open at the time of the kill.")
    parser.add_argument("--latency", type=float, default=3.0, help="Seconds per judge call.")
    options = parser.parse_args()
    async with (
        mock_judge("--latency", str(options.latency)) as judge,
        embedded(
            judge,
            workers=2,
            settings={"ASSAY_JUDGE_CONCURRENCY": str(options.calls // 2)},
        ) as stack,
    ):
        traces = 3 * options.calls
        await store(stack, traces)
        run = await post(stack, METRICS, first=0, count=traces)
        before = await stats(stack)
        while before["in_flight"] < options.calls:
            await asyncio.sleep(LOOK_SECONDS)
            before = await stats(stack)
        stack.processes["worker-2"].kill()
        run = await ended(stack, run)
        after = await stats(stack)
    lost = max(0, after["repeats"] - after["abandoned"])
    report(
        f"One of two workers killed, {before['in_flight']} calls of {options.latency:g} s open",
        [
            Claim("calls open in the killed worker, asked again", str(after["abandoned"])),
            Claim(
                "answered calls asked again",
                str(lost),
                f"< {MAX_LOST_ANSWERS}",
                lost < MAX_LOST_ANSWERS,
            ),
            Claim("pairs that failed", str(run["failed_count"]), "0", run["failed_count"] == 0),
        ],
    )


if __name__ == "__main__":
    asyncio.run(main())
