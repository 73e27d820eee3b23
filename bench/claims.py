"""Shared parts of the load benchmarks: traces and runs of known size, and claims that must hold."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.http_load import request, send
from bench.run import START, trace
from bench.stack import API_KEY, Stack
from core import json_codec

RUNS = "/evaluations/trace-runs"
KEY = {"X-API-Key": API_KEY}
A_POST = 2_000
LOOK_SECONDS = 1.0
OPEN = ("PENDING", "RUNNING")

Run = dict[str, Any]


@dataclass(frozen=True)
class Claim:
    """A figure and its target. A figure without a target is only printed."""

    what: str
    figure: str
    target: str = ""
    holds: bool = True


def report(title: str, claims: Sequence[Claim]) -> None:
    """Prints the claims. Exits with 1 if a claim does not hold."""
    if not show(title, claims):
        sys.exit(1)


def show(title: str, claims: Sequence[Claim]) -> bool:
    """Prints the claims. Returns whether all of them hold."""
    table = Table("what", "figure", "target", "", title=title)
    for claim in claims:
        verdict = ("holds" if claim.holds else "MISSED") if claim.target else ""
        table.add_row(claim.what, claim.figure, claim.target, verdict)
    Console(width=120).print(table)
    return all(claim.holds for claim in claims)


async def store(stack: Stack, count: int, *, first: int = 0) -> None:
    """Stores the traces numbered from `first`, one second apart."""
    headers = KEY | {"Content-Type": "application/json"}
    for start in range(first, first + count, A_POST):
        numbers = range(start, min(start + A_POST, first + count))
        bodies = [json_codec.dumps(trace(number)).encode() for number in numbers]
        posts = [request("POST", "/traces", headers, body) for body in bodies]
        await send(stack.port, posts, status=202)


async def post(
    stack: Stack, metrics: Sequence[str], *, first: int, count: int, **options: Any
) -> Run:
    """Starts a run over the traces numbered from `first`. `options` are fields of the request."""
    filters = {
        "date_from": (START + timedelta(seconds=first)).isoformat(),
        "date_to": (START + timedelta(seconds=first + count)).isoformat(),
    }
    body = {"metrics": list(metrics), "filters": filters, **options}
    answer = await stack.client.post(RUNS, json=body)
    answer.raise_for_status()
    run: Run = answer.json()
    return run


async def look(stack: Stack, run: Run) -> Run:
    answer = await stack.client.get(f"{RUNS}/{run['id']}")
    answer.raise_for_status()
    seen: Run = answer.json()
    return seen


async def ended(stack: Stack, run: Run) -> Run:
    """Waits for the end of the run. Raises unless it COMPLETED without failures.

    Polls rarely, so that polling costs almost nothing; the row has the exact end.
    """
    while run["status"] in OPEN:
        await asyncio.sleep(LOOK_SECONDS)
        run = await look(stack, run)
    if run["status"] != "COMPLETED" or run["failed_count"]:
        raise RuntimeError(f"The run did not complete: {run}")
    return run


async def cancel(stack: Stack, run: Run) -> None:
    (await stack.client.post(f"{RUNS}/{run['id']}/cancel")).raise_for_status()


async def calls(stack: Stack) -> int:
    """The number of judge calls since the last reset."""
    stats = (await stack.judge.get("/stats")).json()
    return int(stats["calls"])
