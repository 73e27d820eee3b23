"""Differences between SQLite and PostgreSQL; no other module knows which one is in use."""

import sqlite3
from functools import cache
from typing import Any, Final

import sqlalchemy
from sqlalchemy import Engine, Table, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from core import json_codec
from core.errors import Misconfigured

Insert = postgresql.Insert | sqlite.Insert

MAX_BUSY_MILLISECONDS: Final = 10_000
"""How long a write waits for a write of another process.

Writes that gather meanwhile wait as long again.
"""


POSTGRES_POOL: Final = 10
SQLITE_POOL: Final = 20
OVERFLOW: Final = 10
"""Connections that a process keeps open by default, and how many more it may open."""


def parse_url(text: str) -> URL:
    """The URL with the async driver Assay uses. Raises Misconfigured."""
    url = make_url(text)
    if url.get_backend_name() == "sqlite":
        return url.set(drivername="sqlite+aiosqlite")
    if url.get_backend_name() in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+asyncpg")
    raise Misconfigured(
        f"ASSAY_DATABASE_URL names {url.get_backend_name()!r}; use sqlite:///… or postgresql://…"
    )


def document(stored: Any) -> Any:
    """The value of a JSON column."""
    # In a column declared JSON, SQLite stores text that is a plain number as a number.
    return json_codec.loads(stored) if isinstance(stored, str | bytes) else stored


def create_engine(url: URL, *, pool_size: int | None = None) -> AsyncEngine:
    of_sqlite = url.get_backend_name() == "sqlite"
    engine = create_async_engine(
        url,
        json_serializer=json_codec.dumps,
        json_deserializer=document,
        hide_parameters=True,  # Parameters are trace contents; errors end up in logs.
        pool_pre_ping=not of_sqlite,
        # Each connection to SQLite starts a thread, which is too expensive per request.
        pool_size=pool_size or (SQLITE_POOL if of_sqlite else POSTGRES_POOL),
        max_overflow=OVERFLOW,
    )
    if of_sqlite:
        _configure_sqlite(engine.sync_engine)
    return engine


def create_thread_engine(url: URL, *, pool_size: int) -> Engine:
    """An engine without an event loop, for transactions on SQLite in a thread."""
    engine = sqlalchemy.create_engine(
        url.set(drivername="sqlite+pysqlite"),
        json_serializer=json_codec.dumps,
        json_deserializer=document,
        hide_parameters=True,
        pool_size=pool_size,
        connect_args={"check_same_thread": False},  # another thread closes the connection
    )
    _configure_sqlite(engine)
    return engine


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _configure_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        # The driver begins a transaction too late for a snapshot; `on_begin` begins it instead.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.execute(f"PRAGMA busy_timeout={MAX_BUSY_MILLISECONDS}")
        cursor.close()
        connection.create_function("lower_unicode", 1, _lower, deterministic=True)

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        # A transaction that upgrades from reading to writing fails at once with SQLITE_BUSY,
        # whatever the busy timeout, so writers take the lock at their start.
        options = connection.get_execution_options()
        if not options.get("autocommit", False):
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")


def repeatable_read(engine: AsyncEngine) -> AsyncEngine:
    """The engine with transactions that see the database as of their first statement."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ")


def autocommit(engine: AsyncEngine) -> AsyncEngine:
    """The engine for single statements, without a transaction around them."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(autocommit=True)
    return engine.execution_options(isolation_level="AUTOCOMMIT")


# SQLSTATE classes of lost connections, deadlocks, a full disk, too many clients, start-up and
# shutdown. Neither asyncpg nor SQLAlchemy has an error class for exactly these.
_TRANSIENT_STATES = ("08", "40", "53", "55", "57", "58")


_TRANSIENT_SQLITE = frozenset(
    {
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL),
        *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM),
        *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT),
    }
)
"""All other codes, such as the one for a too long pattern, are faults of the statement."""


def is_transient(error: BaseException) -> bool:
    """Whether a repetition of the same statement may succeed later."""
    if isinstance(error, InterfaceError | PoolTimeout | OSError | TimeoutError):
        return True
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    if code is not None:
        # The low byte of an extended code is its primary code.
        return code & 0xFF in _TRANSIENT_SQLITE
    if isinstance(error, OperationalError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or state.startswith(_TRANSIENT_STATES)


def is_single_writer(engine: AsyncEngine) -> bool:
    """Whether only one transaction at a time may write to the database."""
    return engine.dialect.name == "sqlite"


def insert(db: AsyncSession, table: Table) -> Insert:
    """An INSERT that offers `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return _insert(db.get_bind().dialect.name, table)


def insert_missing(db: AsyncSession, table: Table, key: tuple[str, ...] = ()) -> Insert:
    """An INSERT that leaves existing rows unchanged.

    Without a `key`, any unique constraint counts.
    """
    return _insert_missing(db.get_bind().dialect.name, table, key)


def upsert(
    db: AsyncSession, table: Table, *, key: tuple[str, ...], update: tuple[str, ...]
) -> Insert:
    """An INSERT that overwrites the columns `update` of an existing row with the same `key`."""
    return _upsert(db.get_bind().dialect.name, table, key, update)


# Cached, because building a statement takes as long as running it.


@cache
def _insert(dialect_name: str, table: Table) -> Insert:
    if dialect_name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


@cache
def _insert_missing(dialect_name: str, table: Table, key: tuple[str, ...]) -> Insert:
    statement = _insert(dialect_name, table)
    return statement.on_conflict_do_nothing(index_elements=list(key) or None)


@cache
def _upsert(
    dialect_name: str, table: Table, key: tuple[str, ...], update: tuple[str, ...]
) -> Insert:
    statement = _insert(dialect_name, table)
    return statement.on_conflict_do_update(
        index_elements=list(key), set_={name: statement.excluded[name] for name in update}
    )


async def lock_for_migration(connection: AsyncConnection) -> None:
    """Makes other migrating processes wait until this transaction ends.

    On SQLite the write lock, taken when the transaction begins, has this effect.
    """
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(727_001)")
