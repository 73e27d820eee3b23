"""A healthy run next to a model or a provider that hangs, limits or fails.

python -m bench.isolation

The failing run is far larger and was posted first. One healthy run asks another model of the same
provider; another asks another provider. Each is compared with the same run alone.
"""

import argparse
import asyncio
import time
from collections.abc import Mapping
from typing import Any

from bench.claims import Claim, Run, cancel, ended, post, report, store
from bench.run import METRICS
from bench.stack import Stack, control, embedded, mock_judge

TIMES = 1.5
TRACES = 60
SICK_TRACES = 400
SICK = "sick"
SICKNESSES: Mapping[str, dict[str, Any]] = {
    "hangs": {"rate_hang": 1.0},
    "limits": {"rate_429": 1.0, "retry_after": 30.0},
    "fails": {"rate_500": 1.0},
}
HEALTHY = {"another model": "openai/well", "another provider": "hosted_vllm/well"}
NO_FAULTS = {"rate_hang": 0.0, "rate_429": 0.0, "rate_500": 0.0, "only_model": ""}


class Blocks:
    """Every healthy run has its own traces, so that no answer is cached."""

    def __init__(self) -> None:
        self._next = SICK_TRACES

    def take(self) -> int:
        first, self._next = self._next, self._next + TRACES
        return first


async def healthy(stack: Stack, blocks: Blocks, model: str) -> float:
    """Seconds from POST to the end of the run."""
    began = time.perf_counter()
    run = await post(stack, METRICS, first=blocks.take(), count=TRACES, model=model)
    run = await ended(stack, run)
    return time.perf_counter() - began


async def measure(sickness: str, after: float, call_seconds: float) -> list[Claim]:
    settings = {"ASSAY_JUDGE_TIMEOUT_SECONDS": str(call_seconds)}
    async with (
        mock_judge("--latency", "0.2") as judge,
        embedded(judge, settings=settings | {"HOSTED_VLLM_API_BASE": f"{judge}/v1"}) as stack,
    ):
        blocks = Blocks()
        await store(stack, SICK_TRACES + TRACES * 3 * len(HEALTHY))
        for model in HEALTHY.values():
            await healthy(stack, blocks, model)  # Warm-up.
        alone = {model: await healthy(stack, blocks, model) for model in HEALTHY.values()}
        await control(stack, only_model=SICK, **SICKNESSES[sickness])
        sick = await post(stack, METRICS, first=0, count=SICK_TRACES, model=f"openai/{SICK}")
        await asyncio.sleep(after)
        claims = [
            claim(f"{what}, beside one that {sickness}", taken, alone[model])
            for what, model in HEALTHY.items()
            for taken in [await healthy(stack, blocks, model)]
        ]
        await stop(stack, sick)
        return claims


async def stop(stack: Stack, sick: Run) -> None:
    await cancel(stack, sick)
    await control(stack, **NO_FAULTS)


def claim(what: str, taken: float, alone: float) -> Claim:
    most = TIMES * alone
    return Claim(what, f"{taken:.1f} s, alone {alone:.1f} s", f"≤ {most:.1f} s", taken <= most)


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--after", type=float, default=10.0, help="Seconds after the sick run.")
    parser.add_argument("--timeout", type=float, default=60.0, help="Of one judge call, seconds.")
    parser.add_argument("--sickness", nargs="+", choices=SICKNESSES, default=list(SICKNESSES))
    options = parser.parse_args()
    claims: list[Claim] = []
    for sickness in options.sickness:
        claims += await measure(sickness, options.after, options.timeout)
    report("A healthy run next to a failing one", claims)


if __name__ == "__main__":
    asyncio.run(main())
