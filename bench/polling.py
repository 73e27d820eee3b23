"""Measures polling of an open run by many clients: latency, and the slow-down of judging.

    python -m bench.polling --clients 50

Periods with and without the clients alternate during one run, so that drift affects both.
"""

import argparse
import asyncio
import random
import time
from dataclasses import dataclass, field

from bench.claims import KEY, RUNS, Claim, calls, cancel, look, post, report, store
from bench.http_load import Answers, exchange, request
from bench.run import METRICS
from bench.stack import Stack, control, embedded, mock_judge

MAX_P95_MS = 60.0
MAX_SLOWING = 0.10
WARM_SECONDS = 10.0
SETTLING_SECONDS = 1.0


@dataclass
class Spells:
    """The number of judge calls, and the seconds in which they were counted."""

    calls: int = 0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return self.calls / self.seconds


@dataclass
class Figures:
    alone: Spells = field(default_factory=Spells)
    polled: Spells = field(default_factory=Spells)
    answers: Answers = field(default_factory=Answers)
    nothing: Answers = field(default_factory=Answers)

    @property
    def slowing(self) -> float:
        return 1 - self.polled.per_second / self.alone.per_second


async def client(port: int, content: bytes, every: float, answers: Answers) -> None:
    """Polls at random moments until it is cancelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await asyncio.sleep(random.uniform(0, every))
        while True:
            took = await exchange(reader, writer, content, 200)
            answers.times_ms.append(took)
            await asyncio.sleep(max(0.0, every - took / 1000))
    finally:
        writer.close()


async def spell(stack: Stack, spells: Spells, seconds: float) -> None:
    before, began = await calls(stack), time.perf_counter()
    await asyncio.sleep(seconds)
    spells.calls += await calls(stack) - before
    spells.seconds += time.perf_counter() - began


async def measure(stack: Stack, options: argparse.Namespace) -> Figures:
    figures = Figures()
    await store(stack, options.traces)
    await control(stack, reset=True)
    run = await post(stack, METRICS, first=0, count=options.traces)
    content = request("GET", f"{RUNS}/{run['id']}", KEY)
    await asyncio.sleep(WARM_SECONDS)
    for _ in range(options.rounds):
        await asyncio.sleep(SETTLING_SECONDS)
        await spell(stack, figures.alone, options.seconds)
        answered = len(figures.answers.times_ms)
        clients = [
            asyncio.create_task(client(stack.port, content, options.every, figures.answers))
            for _ in range(options.clients)
        ]
        # The floor: the latency of a response that needs no query.
        health = client(stack.port, request("GET", "/health", {}), 0.2, figures.nothing)
        clients.append(asyncio.create_task(health))
        await asyncio.sleep(SETTLING_SECONDS)
        # Spreads the starts, so that the clients do not poll at the same moment.
        del figures.answers.times_ms[answered:]
        await spell(stack, figures.polled, options.seconds)
        for one in clients:
            one.cancel()
        for ended in await asyncio.gather(*clients, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
    if (await look(stack, run))["status"] != "RUNNING":
        raise RuntimeError("The run ended too soon: give it more traces with --traces.")
    await cancel(stack, run)
    return figures


def claims(figures: Figures, options: argparse.Namespace) -> list[Claim]:
    answers, p95 = figures.answers, figures.answers.percentile(95)
    clients = f"{options.clients} clients, every {options.every:g} s"
    return [
        Claim(f"answers to {clients}", str(len(answers.times_ms))),
        Claim("GET of nothing at all, p50, p95", _both(figures.nothing)),
        Claim("GET of a running run, p50, p95", _both(answers)),
        Claim(
            "GET of a running run, p95",
            f"{p95:.0f} ms",
            f"≤ {MAX_P95_MS:.0f} ms",
            p95 <= MAX_P95_MS,
        ),
        Claim("judge calls per second, nobody polling", f"{figures.alone.per_second:.0f}"),
        Claim(
            "judge calls per second, polled",
            f"{figures.polled.per_second:.0f} ({-figures.slowing:+.0%})",
            f"less than {MAX_SLOWING:.0%} slower",
            figures.slowing < MAX_SLOWING,
        ),
    ]


def _both(answers: Answers) -> str:
    return f"{answers.percentile(50):.0f} ms, {answers.percentile(95):.0f} ms"


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--every", type=float, default=1.0, help="Seconds between two questions.")
    parser.add_argument("--seconds", type=float, default=10.0, help="Of each spell.")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--traces", type=int, default=8_000)
    parser.add_argument("--latency", type=float, default=0.2, help="Seconds per judge call.")
    options = parser.parse_args()
    async with mock_judge("--latency", str(options.latency)) as judge, embedded(judge) as stack:
        figures = await measure(stack, options)
    report("A running run, polled", claims(figures, options))


if __name__ == "__main__":
    asyncio.run(main())
