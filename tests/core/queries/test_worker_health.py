import asyncio
import os
import socket
import subprocess
import sys
from datetime import timedelta

import pytest

from core import clock
from core.db.database import Database
from core.db.tables import Worker
from core.queries.worker_health import is_alive, main
from core.temporal.process_identity import process_identity
from tests.api.cli.up_process import ROOT, environment_of


async def add_worker(
    database: Database, worker_id: str, *, seconds_silent: float, seconds_unpolled: float = 0
) -> None:
    seen = clock.now() - timedelta(seconds=seconds_silent)
    polled = clock.now() - timedelta(seconds=seconds_unpolled)
    async with database.write() as db:
        db.add(
            Worker(id=worker_id, started_at=seen, last_seen=seen, polled_at=polled,
                   default_model="offline/rules", providers=[])
        )  # fmt: skip


HOST = socket.gethostname()


async def test_a_worker_of_this_machine_that_publishes_is_alive(database: Database) -> None:
    await add_worker(database, process_identity(), seconds_silent=31)
    assert await is_alive(database)


async def test_the_last_report_of_a_killed_worker_does_not_count_for_its_successor(
    database: Database,
) -> None:
    await add_worker(database, f"{os.getpid()}-000000@{HOST}", seconds_silent=0)
    assert not await is_alive(database)
    # Beside it, a worker that runs counts.
    await add_worker(database, process_identity(), seconds_silent=0)
    assert await is_alive(database)


@pytest.mark.parametrize(
    ("seconds_silent", "seconds_unpolled"), [(91, 0), (0, 181)], ids=["silent", "not polling"]
)
async def test_silent_workers_and_workers_that_do_not_poll_do_not_count(
    database: Database, seconds_silent: float, seconds_unpolled: float
) -> None:
    await add_worker(
        database, process_identity(),
        seconds_silent=seconds_silent, seconds_unpolled=seconds_unpolled,
    )  # fmt: skip
    assert not await is_alive(database)


async def test_workers_of_other_machines_do_not_count(database: Database) -> None:
    assert not await is_alive(database)
    own = process_identity().removesuffix(HOST)
    await add_worker(database, f"{own}there", seconds_silent=0)
    await add_worker(database, f"{own}not-{HOST}", seconds_silent=0)
    assert not await is_alive(database)


@pytest.mark.slow
async def test_the_exit_code_is_what_a_health_check_reads(
    sqlite_url: str, sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_DATABASE_URL", sqlite_url)

    def exit_code() -> int:
        return subprocess.run(
            [sys.executable, "-m", "core.queries.worker_health"],
            env=environment_of({"ASSAY_DATABASE_URL": sqlite_url}), cwd=ROOT, check=False,
        ).returncode  # fmt: skip

    assert await main() is False
    assert await asyncio.to_thread(exit_code) == 1
    await add_worker(sqlite, process_identity(), seconds_silent=0)
    assert await main() is True
    assert await asyncio.to_thread(exit_code) == 0
