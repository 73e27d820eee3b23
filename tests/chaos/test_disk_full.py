"""A full disk: the kernel refuses every write of the database, of Temporal and of logs."""

import asyncio
import sys

import psutil
import pytest

from tests.chaos import store
from tests.chaos.auditing import audit
from tests.chaos.stack import RUNS, Stack
from tests.factories import trace_body

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(sys.platform != "linux", reason="limits another process, as Linux can"),
]


def limit_files(stack: Stack, largest: int) -> None:
    """Sets the soft limit of file sizes of every process, beyond which a file cannot be written.

    Needs no privilege and no separate disk. SQLite gets EFBIG instead of the ENOSPC of a full disk,
    and reports both as operational errors.
    """
    for process in stack.processes.values():
        limits = psutil.Process(process.pid)
        _, hard = limits.rlimit(psutil.RLIMIT_FSIZE)
        limits.rlimit(psutil.RLIMIT_FSIZE, (largest, hard))


async def test_a_run_goes_on_when_the_disk_has_room_again(stack: Stack) -> None:
    await stack.whole()
    targets = await stack.store_traces(100)
    run = await stack.post_run(targets)
    await stack.asked(80)
    known = await store.run_ids(stack.database)
    limit_files(stack, 4096)
    try:
        refused = await stack.api.post("/traces", json=trace_body())
        assert refused.status_code == 503, refused.text
        refused = await stack.api.post(RUNS, json=targets.body)
        assert refused.status_code == 503, refused.text
        await asyncio.sleep(30)
        assert (await stack.get_run(run))["status"] == "RUNNING"
    finally:
        limit_files(stack, psutil.RLIM_INFINITY)
    assert await store.run_ids(stack.database) == known
    await audit(stack, run, targets)
