"""Compares Assay with its peers in one run: `python -m bench.peers`.

Every contender judges the same traces by three metrics with the same mock judge, 100 open calls and
one process. Contenders alternate, so that other work on the machine affects all of them alike and
the ratios hold. A peer's time begins after its imports; Assay's time is from POST to COMPLETED,
with every score stored durably.
"""

import argparse
import asyncio
import json
import signal
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table

from bench.peers.environments import PACKAGES, python_of
from bench.run import METRICS, START, follow, post, store, trace
from bench.stack import Stack, control, embedded, mock_judge
from core import json_codec

CONCURRENCY: Final = 100
MAX_SECONDS: Final = 90.0
"""A peer that takes longer is stopped; its unfinished pairs then count as failed."""

OURS: Final = ("assay", "assay, bundled")
CASES: Final = ("speed", "faults", "kill")
FAULTS: Final = {"rate_429": 0.05, "rate_500": 0.05}
HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Outcome:
    """`repeated`: the number of answered questions that were answered again."""

    seconds: float
    pairs: int
    failed: int
    calls: int
    repeated: int
    tokens: int

    @property
    def rate(self) -> float:
        """Pairs with a score, per second."""
        return (self.pairs - self.failed) / self.seconds


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--latency", type=float, default=0.2, help="Seconds a judge call takes.")
    parser.add_argument("--rounds", type=int, default=3, help="Turns of each contender.")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--contenders", nargs="+", choices=[*OURS, *PACKAGES])
    options = parser.parse_args()
    contenders = options.contenders or [*OURS, *PACKAGES]
    for peer in set(contenders) - set(OURS):
        python_of(peer)
    for case in options.cases:
        for traces in options.traces if case == "speed" else options.traces[:1]:
            found: defaultdict[str, list[Outcome]] = defaultdict(list)
            for _ in range(options.rounds):
                for contender in contenders:
                    outcome = await turn(contender, case, traces, options.latency)
                    found[contender].append(outcome)
            show(found, f"{case}, {traces} × {len(METRICS)} pairs, {options.latency:g} s per call")


async def turn(contender: str, case: str, traces: int, latency: float) -> Outcome:
    async with AsyncExitStack() as held:
        judge = await held.enter_async_context(mock_judge("--latency", str(latency)))
        client = await held.enter_async_context(httpx.AsyncClient(base_url=judge, timeout=30))
        if contender in OURS:
            settings = {"ASSAY_JUDGE_CONCURRENCY": str(CONCURRENCY)}
            stack = await held.enter_async_context(embedded(judge, settings=settings))
            await store(stack, traces)
            await control(stack, reset=True, **(FAULTS if case == "faults" else {}))
            bundle = contender == "assay, bundled"
            seconds, failed = await ours(stack, traces, bundle=bundle, kill=case == "kill")
        else:
            changed = {"reset": True, **(FAULTS if case == "faults" else {})}
            (await client.post("/control", json=changed)).raise_for_status()
            seconds, failed = await theirs(contender, client, traces, kill=case == "kill")
        stats = (await client.get("/stats")).json()
    return Outcome(
        seconds=seconds,
        pairs=traces * len(METRICS),
        failed=failed,
        calls=stats["calls"],
        repeated=stats["answered_again"],
        tokens=stats["prompt_tokens"],
    )


async def ours(stack: Stack, traces: int, *, bundle: bool, kill: bool) -> tuple[float, int]:
    started = time.perf_counter()
    filters = {"date_from": START.isoformat()}
    run = await post(stack, {"metrics": METRICS, "filters": filters, "bundle": bundle})
    if kill:
        await until_half(stack.judge, traces, calls_per_trace=1 if bundle else len(METRICS))
        stack.processes["worker-1"].send_signal(signal.SIGKILL)
    run = await follow(stack, run)
    seconds = time.perf_counter() - started
    if run["status"] != "COMPLETED":
        raise RuntimeError(f"The run did not complete: {run}")
    return seconds, int(run["failed_count"])


async def theirs(
    peer: str, judge: httpx.AsyncClient, traces: int, *, kill: bool
) -> tuple[float, int]:
    """The calls of a peer after a kill; the peer begins again, because it stores nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traces.jsonl"
        path.write_bytes(b"".join(encoded(number) + b"\n" for number in range(traces)))
        base = str(judge.base_url).rstrip("/") + "/v1"
        command = [str(python_of(peer)), str(HERE / f"{peer}_peer.py"), base, str(path)]
        before = 0.0
        if kill:
            began = time.perf_counter()
            process = await started(command, folder)
            await until_half(judge, traces, calls_per_trace=len(METRICS))
            process.kill()
            await process.wait()
            before = time.perf_counter() - began
        process = await started(command, folder)
        try:
            out, _ = await asyncio.wait_for(process.communicate(), MAX_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            answered = (await stats_of(judge))["answered"]
            return before + MAX_SECONDS, traces * len(METRICS) - answered
        if process.returncode != 0:
            raise RuntimeError(f"{peer} ended with {process.returncode}.")
        told = json.loads(out.splitlines()[-1])
        return before + told["seconds"], told["failed"]


def encoded(number: int) -> bytes:
    text: str | bytes = json_codec.dumps(trace(number))
    return text if isinstance(text, bytes) else text.encode()


async def started(command: Sequence[str], folder: str) -> asyncio.subprocess.Process:
    """`folder`: where the peer may leave files."""
    return await asyncio.create_subprocess_exec(
        *command,
        str(CONCURRENCY),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def until_half(judge: httpx.AsyncClient, traces: int, *, calls_per_trace: int) -> None:
    while (await stats_of(judge))["answered"] < traces * calls_per_trace / 2:  # noqa: ASYNC110 - the judge is another process
        await asyncio.sleep(0.05)


async def stats_of(judge: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await judge.get("/stats")).json()
    return found


def show(found: dict[str, list[Outcome]], title: str) -> None:
    table = Table(title=title)
    columns = ("pairs per second", "ratio to assay", "failed", "calls", "calls repeated", "tokens")
    table.add_column("median of the rounds")
    for name in columns:
        table.add_column(name, justify="right")
    first = found.get(OURS[0]) or next(iter(found.values()))
    own = statistics.median(one.rate for one in first)
    for contender, outcomes in found.items():
        rates = [one.rate for one in outcomes]
        table.add_row(
            contender,
            f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})",
            f"{statistics.median(rates) / own:.2f}",
            *(
                f"{statistics.median(values):.0f}"
                for values in (
                    [one.failed for one in outcomes],
                    [one.calls for one in outcomes],
                    [one.repeated for one in outcomes],
                    [one.tokens for one in outcomes],
                )
            ),
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    asyncio.run(main())
