"""The one place that knows which database it speaks to: SQLite or PostgreSQL."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    ColumnElement,
    DateTime,
    Dialect,
    Table,
    Text,
    event,
    literal_column,
    make_url,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType, TypeDecorator

from core import jsontext
from core.errors import Misconfigured

Json = JSON(none_as_null=True)
"""Text, not JSONB, on PostgreSQL: documents are read whole and keep the order of their keys."""

Insert = postgresql.Insert | sqlite.Insert


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored as UTC and read back as UTC on every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - fixed by SQLAlchemy
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


E = TypeVar("E", bound=StrEnum)


class Choice(TypeDecorator[E]):
    """A member of a closed set, stored as its text: adding a member needs no migration."""

    impl = Text
    cache_ok = True

    def __init__(self, values: type[E]) -> None:
        super().__init__()
        self.values = values

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - fixed by SQLAlchemy
        return None if value is None else self.values(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> E | None:  # noqa: ARG002 - fixed by SQLAlchemy
        return None if value is None else self.values(value)


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


def _document(stored: Any) -> Any:
    # SQLite keeps text that is nothing but a number as that number, in a column declared as JSON.
    return jsontext.loads(stored) if isinstance(stored, str | bytes) else stored


def create_engine(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url,
        json_serializer=jsontext.dumps,
        json_deserializer=_document,
        hide_parameters=True,  # Parameters are trace contents; errors end up in logs.
        pool_pre_ping=url.get_backend_name() == "postgresql",
        # Of SQLite's own connections each is a thread, expensive to open for one request.
        pool_size=20 if url.get_backend_name() == "sqlite" else 10,
    )
    if url.get_backend_name() == "sqlite":
        _configure_sqlite(engine)
    return engine


class lowered(FunctionElement[str]):
    """Text in lower case. SQLite's own `lower` knows ASCII only, but is ten times as fast."""

    name = "lowered"
    inherit_cache = True


@compiles(lowered)
def _lowered(element: lowered, compiler: SQLCompiler, **kw: Any) -> str:
    return f"lower({compiler.process(element.clauses, **kw)})"


@compiles(lowered, "sqlite")
def _lowered_on_sqlite(element: lowered, compiler: SQLCompiler, **kw: Any) -> str:
    return f"lower_unicode({compiler.process(element.clauses, **kw)})"


def contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Whether the text stands in the column, whatever the case; it has no wildcards."""
    if text.isascii():
        return column.icontains(text, autoescape=True)
    return lowered(column).contains(text.lower(), autoescape=True)


class _checked(FunctionElement[Any]):
    inherit_cache = True


def checked(column: Any) -> Any:
    """A column that rows are checked by, never found by. Without statistics SQLite takes the index
    that serves most columns: it would look through a project's scores for those of one run."""
    return type_coerce(_checked(column), column.type)


@compiles(_checked)
def _unindexed(element: _checked, compiler: SQLCompiler, **kw: Any) -> str:
    plus = "+" if compiler.dialect.name == "sqlite" else ""
    return plus + compiler.process(element.clauses, **kw)


class Granularity(StrEnum):
    """How long a bucket of time is. Weeks start on Monday; all in UTC."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


class _BucketStart(TypeDecorator[datetime]):
    impl = NullType
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - fixed by SQLAlchemy
        start = datetime.fromisoformat(value) if isinstance(value, str) else value
        return start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)


class _time_bucket(FunctionElement[datetime]):
    name = "time_bucket"
    inherit_cache = True
    type = _BucketStart()


def time_bucket(column: ColumnElement[datetime], granularity: Granularity) -> Any:
    """The moment at which the column's bucket begins.

    To group by it, select it in a subquery: databases do not see that two are the same.
    """
    return _time_bucket(column, literal_column(f"'{granularity.value}'"))


@compiles(_time_bucket)
def _truncated(element: _time_bucket, compiler: SQLCompiler, **kw: Any) -> str:
    column, granularity = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"date_trunc({granularity}, {column}, 'UTC')"


@compiles(_time_bucket, "sqlite")
def _cut(element: _time_bucket, compiler: SQLCompiler, **kw: Any) -> str:
    # Moments are text there, in UTC: to cut it is ten times as fast as to compute with it, and
    # what is grouped by should be short.
    column, granularity = (compiler.process(clause, **kw) for clause in element.clauses)
    match Granularity(granularity.strip("'")):
        case Granularity.HOUR:
            return f"substr({column}, 1, 13)"
        case Granularity.DAY:
            return f"substr({column}, 1, 10)"
        case Granularity.WEEK:
            return f"date(substr({column}, 1, 10), '-6 days', 'weekday 1')"


class _Percentiles(TypeDecorator[list[float]]):
    impl = NullType
    cache_ok = True

    def __init__(self, percents: tuple[int, ...]) -> None:
        super().__init__()
        self.percents = percents

    def process_result_value(self, value: Any, dialect: Dialect) -> list[float] | None:  # noqa: ARG002 - fixed by SQLAlchemy
        if not isinstance(value, str):
            return value and list(value)
        ordered = sorted(number for number in jsontext.loads(value) if number is not None)
        return [_percentile(ordered, percent) for percent in self.percents] if ordered else None


def _percentile(ordered: list[float], percent: int) -> float:
    place, share = divmod(percent * (len(ordered) - 1), 100)
    here, after = ordered[place], ordered[min(place + 1, len(ordered) - 1)]
    return here + (after - here) * share / 100


class _percentiles(FunctionElement[list[float]]):
    name = "percentiles"
    inherit_cache = True


def percentiles(column: ColumnElement[Any], *percents: int) -> Any:
    """Exact percentiles of a group's numbers, in the order asked for; None where it has none.

    Between two numbers in proportion. PostgreSQL works them out; SQLite, which takes six times as
    long to rank rows as to hand them over, hands over the group's numbers in one text.
    """
    shares = ", ".join(str(percent / 100) for percent in percents)
    made = _percentiles(column, literal_column(shares))
    made.type = _Percentiles(percents)
    return made


@compiles(_percentiles)
def _percentiles_within_group(element: _percentiles, compiler: SQLCompiler, **kw: Any) -> str:
    column, shares = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"percentile_cont(ARRAY[{shares}]::float8[]) WITHIN GROUP (ORDER BY {column})"


@compiles(_percentiles, "sqlite")
def _numbers_of_group(element: _percentiles, compiler: SQLCompiler, **kw: Any) -> str:
    column, _ = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"json_group_array({column})"


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _configure_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        # The driver's own transaction control begins too late to hold a snapshot; ours is below.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.execute("PRAGMA busy_timeout=30000")
        cursor.close()
        connection.create_function("lower_unicode", 1, _lower, deterministic=True)

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        # A transaction that upgrades from reading to writing fails at once with SQLITE_BUSY,
        # whatever the busy timeout: writers take the lock at their start.
        options = connection.get_execution_options()
        if not options.get("alone", False):
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")


def snapshot(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, each transaction of which sees the database as its first statement did."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ")


def alone(engine: AsyncEngine) -> AsyncEngine:
    """The same engine for statements that stand alone: no transaction is begun for them."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(alone=True)
    return engine.execution_options(isolation_level="AUTOCOMMIT")


# Lost connections, deadlocks, a full disk, too many clients, starting up or shutting down: asyncpg
# has no class of errors for these, and SQLAlchemy none but the broadest.
_PASSING_STATES = ("08", "40", "53", "55", "57", "58")


def is_away(error: BaseException) -> bool:
    """Whether the database could not be used, so that the same statement may succeed later."""
    if isinstance(error, OperationalError | InterfaceError | OSError | TimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or state.startswith(_PASSING_STATES)


def is_single_writer(engine: AsyncEngine) -> bool:
    """True where only one transaction at a time may write to the whole database."""
    return engine.dialect.name == "sqlite"


def insert(connection_dialect: str, table: Table) -> Insert:
    """An INSERT that offers `on_conflict_do_nothing` and `on_conflict_do_update`."""
    if connection_dialect == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def rows_per_insert(dialect: str, columns: int) -> int:
    """How many rows one multi-row INSERT may carry under the database's parameter limit."""
    limit = 32_766 if dialect == "sqlite" else 32_767
    return max(1, limit // columns)


async def lock_for_migration(connection: AsyncConnection) -> None:
    """Holds other migrating processes off until this transaction ends.

    SQLite needs nothing: its write lock, taken at the start, does the same.
    """
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(727_001)")


def chunks(rows: Sequence[dict[str, Any]], size: int) -> list[Sequence[dict[str, Any]]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
