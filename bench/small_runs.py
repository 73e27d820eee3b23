"""Runs of one pair, posted as fast as the API takes them: `python -m bench.small_runs`.

Prints the rate of ended runs, overall and per tenth, how far runs end out of order, and the latency
of POST, by default with eight requests open at a time.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import httpx

from bench.stack import embedded, mock_judge
from tests.factories import trace_body

RUNS = "/evaluations/trace-runs"
A_PAGE = 200


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--posters", type=int, default=8, help="Requests open at a time.")
    asked = parser.parse_args()
    async with mock_judge() as judge, embedded(judge) as stack:
        before = stack.cpu_seconds()
        await measure(stack.client, asked.runs, asked.posters)
        spent = {role: end - before[role] for role, end in stack.cpu_seconds().items()}
        for role, seconds in spent.items():
            print(f"{role}: {1000 * seconds / asked.runs:.0f} ms of CPU per run")


async def measure(api: httpx.AsyncClient, count: int, posters: int) -> None:
    trace = trace_body()
    (await api.post("/traces", json=trace)).raise_for_status()
    body = {
        "metrics": ["step_efficiency"],
        "trace_ids": [trace["trace_id"]],
    }
    took: list[float] = []
    left = iter(range(count))

    async def post() -> None:
        for _ in left:
            began = time.perf_counter()
            answer = await api.post(f"{RUNS}/batch", json=body)
            took.append(time.perf_counter() - began)
            answer.raise_for_status()

    began = time.perf_counter()
    await asyncio.gather(*(post() for _ in range(posters)))
    posted = time.perf_counter() - began
    while (done := await total(api, "COMPLETED")) < count:
        print(f"{time.perf_counter() - began:6.0f} s  {done} of {count} ended", flush=True)
        await asyncio.sleep(5)
    runs = await listed(api, count)
    rates = rates_of_tenths(runs)
    first, last = min(run.created_at for run in runs), max(run.completed_at for run in runs)
    seconds = (last - first).total_seconds()
    print(f"{count} runs: {count / seconds:.1f} per second end to end, {count / posted:.1f} posted")
    print("per second, of each tenth that ended:", *(f"{rate:.1f}" for rate in rates))
    print(f"ended at most {displacement(runs)} positions from where they were posted")
    tenths = [took[n * count // 10 : (n + 1) * count // 10] for n in range(10)]
    print("POST p50, in ms, of each tenth:", *(f"{1000 * at(tenth, 0.5):.0f}" for tenth in tenths))
    print("POST p95, in ms, of each tenth:", *(f"{1000 * at(tenth, 0.95):.0f}" for tenth in tenths))
    print(f"POST p50 {1000 * at(took, 0.5):.0f} ms, p95 {1000 * at(took, 0.95):.0f} ms")


def at(seconds: Sequence[float], share: float) -> float:
    """The quantile."""
    return sorted(seconds)[int(share * len(seconds))]


@dataclass(frozen=True, slots=True)
class Ended:
    created_at: datetime
    completed_at: datetime


async def listed(api: httpx.AsyncClient, count: int) -> list[Ended]:
    runs: list[Ended] = []
    while len(runs) < count:
        answer = await api.get(RUNS, params={"limit": A_PAGE, "offset": len(runs)})
        runs += [
            Ended(moment(run["created_at"]), moment(run["completed_at"]))
            for run in answer.raise_for_status().json()["items"]
        ]
    return runs


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def rates_of_tenths(runs: Sequence[Ended]) -> list[float]:
    """Runs per second from the end of one tenth to the end of the next."""
    ends = sorted(run.completed_at for run in runs)
    marks = [min(run.created_at for run in runs)]
    marks += [ends[len(ends) * n // 10 - 1] for n in range(1, 11)]
    return [len(ends) / 10 / (b - a).total_seconds() for a, b in pairwise(marks)]


def displacement(runs: Sequence[Ended]) -> int:
    """The largest difference between a run's position by its POST and its position by its end."""
    posted = sorted(runs, key=lambda run: run.created_at)
    ended = {id(run): n for n, run in enumerate(sorted(runs, key=lambda run: run.completed_at))}
    return max(abs(n - ended[id(run)]) for n, run in enumerate(posted))


async def total(api: httpx.AsyncClient, status: str) -> int:
    page: dict[str, Any] = (await api.get(RUNS, params={"status": status, "limit": 1})).json()
    return int(page["total"])


if __name__ == "__main__":
    asyncio.run(main())
