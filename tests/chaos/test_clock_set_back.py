"""The clock of the machine is set back an hour while a run is judged."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from evals.judges.circuit_breaker import MAX_FAILURES
from tests.chaos import store
from tests.chaos.auditing import audit
from tests.chaos.stack import ROOT, Stack, running

pytestmark = pytest.mark.chaos

PROGRAM = ROOT / "tests" / "chaos" / "clock_set_back.py"


@pytest.fixture
async def offset(tmp_path: Path) -> Path:
    """A file with the seconds by which the clocks of all Assay processes are shifted."""
    path = tmp_path / "offset"
    path.write_text("0")
    return path


@pytest.fixture
async def stack(tmp_path: Path, offset: Path) -> AsyncIterator[Stack]:
    async with running(tmp_path / "home") as stack:
        clocked = [sys.executable, str(PROGRAM), str(offset)]
        await stack.start("temporal")
        port = str(stack.plan.api_port)
        await stack.start(
            "api", [*clocked, "uvicorn", "api.app:create_app", "--factory", "--port", port]
        )
        await stack.start("worker-1", [*clocked, str(ROOT / "worker.py")])
        await stack.whole()
        await stack.serves("worker-1")
        await stack.calm()
        yield stack


async def test_a_run_ends_with_one_score_a_pair(stack: Stack, offset: Path) -> None:
    targets = await stack.store_traces(100)
    run = await stack.post_run(targets)
    await stack.asked(80)
    # The judge also gives no answers for a moment, so that an outage begins before the change and
    # ends after it. Once the worker has noticed the outage, it sends only single probes.
    await stack.control(outage=True)
    await stack.asked_again(MAX_FAILURES)
    offset.write_text("-3600")
    await stack.asked_again(2)
    await stack.control(outage=False)
    ended = await audit(stack, run, targets)
    assert ended["failed_count"] == 0
    later = await stack.store_traces(2)
    await stack.calm()
    await audit(stack, await stack.post_run(later), later)


async def test_a_run_that_was_never_started_does_not_wait_for_the_hour_to_pass_again(
    stack: Stack, offset: Path
) -> None:
    targets = await stack.store_traces(1)
    known = await stack.post_run(targets)
    await stack.ended(known)
    orphan = await store.leave_unstarted(stack.database, known["id"])
    offset.write_text("-3600")
    run = await stack.ended({"id": orphan}, seconds=60)
    assert run["status"] == "COMPLETED"
