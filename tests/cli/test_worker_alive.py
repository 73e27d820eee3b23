import asyncio
import socket
import subprocess
import sys
from datetime import timedelta

import pytest

from core import clock
from core.database import Database
from core.tables import Worker
from core.worker_alive import is_alive, main
from tests.cli.up_process import ROOT, environment_of


async def add_worker(database: Database, id: str, *, seconds_silent: float) -> None:
    seen = clock.now() - timedelta(seconds=seconds_silent)
    async with database.write() as db:
        db.add(
            Worker(id=id, started_at=seen, last_seen=seen, default_model="offline/rules",
                   providers=[])
        )  # fmt: skip


async def test_a_worker_of_this_machine_that_publishes_is_alive(database: Database) -> None:
    await add_worker(database, "7@here", seconds_silent=31)
    assert await is_alive(database, "here")


async def test_silence_and_other_machines_do_not_count(database: Database) -> None:
    assert not await is_alive(database, "here")
    await add_worker(database, "7@here", seconds_silent=91)
    await add_worker(database, "8@there", seconds_silent=0)
    await add_worker(database, "9@not-here", seconds_silent=0)
    assert not await is_alive(database, "here")


async def test_the_exit_code_is_what_a_health_check_reads(
    sqlite_url: str, sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_DATABASE_URL", sqlite_url)

    def exit_code() -> int:
        return subprocess.run(
            [sys.executable, "-m", "core.worker_alive"],
            env=environment_of({"ASSAY_DATABASE_URL": sqlite_url}), cwd=ROOT, check=False,
        ).returncode  # fmt: skip

    assert await main() is False
    assert await asyncio.to_thread(exit_code) == 1
    await add_worker(sqlite, f"7@{socket.gethostname()}", seconds_silent=0)
    assert await main() is True
    assert await asyncio.to_thread(exit_code) == 0
