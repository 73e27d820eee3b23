"""What the proofs under load share: traces and runs of a known size, and claims that must hold."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.load import request, send
from bench.run import START, trace
from bench.stack import API_KEY, Stack
from core import jsontext

RUNS = "/evaluations/trace-runs"
KEY = {"X-API-Key": API_KEY}
A_POST = 2_000
LOOK_SECONDS = 1.0
OPEN = ("PENDING", "RUNNING")

Run = dict[str, Any]


@dataclass(frozen=True)
class Claim:
    """A figure, and the target it was held against. Without a target it is only told."""

    what: str
    figure: str
    target: str = ""
    holds: bool = True


def report(title: str, claims: Sequence[Claim]) -> None:
    """Prints the claims. Leaves the process with 1 when one does not hold."""
    table = Table("what", "figure", "target", "", title=title)
    for claim in claims:
        verdict = ("holds" if claim.holds else "MISSED") if claim.target else ""
        table.add_row(claim.what, claim.figure, claim.target, verdict)
    Console(width=120).print(table)
    if not all(claim.holds for claim in claims):
        sys.exit(1)


async def store(stack: Stack, count: int, *, first: int = 0) -> None:
    """The traces numbered from `first`, a second between each and the next."""
    headers = KEY | {"Content-Type": "application/json"}
    for start in range(first, first + count, A_POST):
        numbers = range(start, min(start + A_POST, first + count))
        bodies = [jsontext.dumps(trace(number)).encode() for number in numbers]
        posts = [request("POST", "/traces", headers, body) for body in bodies]
        await send(stack.port, posts, status=202)


async def post(stack: Stack, metrics: Sequence[str], *, first: int, count: int) -> Run:
    """A run over the traces numbered from `first`."""
    filters = {
        "date_from": (START + timedelta(seconds=first)).isoformat(),
        "date_to": (START + timedelta(seconds=first + count)).isoformat(),
    }
    answer = await stack.client.post(RUNS, json={"metrics": list(metrics), "filters": filters})
    answer.raise_for_status()
    run: Run = answer.json()
    return run


async def look(stack: Stack, run: Run) -> Run:
    answer = await stack.client.get(f"{RUNS}/{run['id']}")
    answer.raise_for_status()
    seen: Run = answer.json()
    return seen


async def ended(stack: Stack, run: Run) -> Run:
    """The run when it is over. Raises when it has not COMPLETED without a failure.

    Looks seldom, so that looking costs next to nothing: the row says when it ended.
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
    """How many the judge has had since it was reset."""
    stats = (await stack.judge.get("/stats")).json()
    return int(stats["calls"])
