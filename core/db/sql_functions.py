"""SQL functions that SQLite and PostgreSQL spell differently."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Dialect, Integer, Text, Uuid, literal_column, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType, TypeDecorator

from core import json_codec


class casefolded(FunctionElement[str]):
    """Text in lower case in every script.

    SQLite's own `lower` handles ASCII only, but is ten times as fast: use this function only for
    text beyond ASCII.
    """

    name = "lowered"
    inherit_cache = True


@compiles(casefolded)
def _lowered(element: casefolded, compiler: SQLCompiler, **kw: Any) -> str:
    return f"lower({compiler.process(element.clauses, **kw)})"


@compiles(casefolded, "sqlite")
def _lowered_on_sqlite(element: casefolded, compiler: SQLCompiler, **kw: Any) -> str:
    return f"lower_unicode({compiler.process(element.clauses, **kw)})"


def contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Whether the column contains the text, ignoring case; `%` and `_` are ordinary characters."""
    if text.isascii():
        return column.icontains(text, autoescape=True)
    return casefolded(column).contains(text.lower(), autoescape=True)


class content_bytes(FunctionElement[int]):
    """Size of a JSON column in bytes; NULL for NULL."""

    name = "content_bytes"
    inherit_cache = True
    type = Integer()


@compiles(content_bytes)
def _octets(element: content_bytes, compiler: SQLCompiler, **kw: Any) -> str:
    return f"octet_length(CAST({compiler.process(element.clauses, **kw)} AS TEXT))"


@compiles(content_bytes, "sqlite")
def _octets_on_sqlite(element: content_bytes, compiler: SQLCompiler, **kw: Any) -> str:
    return f"length(CAST({compiler.process(element.clauses, **kw)} AS BLOB))"


class _unindexed_column(FunctionElement[Any]):
    inherit_cache = True


def unindexed(column: Any) -> Any:
    """Prevents SQLite from choosing an index on this column.

    Without statistics SQLite takes the index that covers most columns: it would scan all scores
    of a project to find those of one run.
    """
    return type_coerce(_unindexed_column(column), column.type)


@compiles(_unindexed_column)
def _unindexed(element: _unindexed_column, compiler: SQLCompiler, **kw: Any) -> str:
    plus = "+" if compiler.dialect.name == "sqlite" else ""
    return plus + compiler.process(element.clauses, **kw)


class _uuid_of_text(FunctionElement[UUID]):
    inherit_cache = True
    type = Uuid()


def uuid_of_text(column: Any) -> Any:
    """Converts canonical text to a UUID. Scores of traces store the id of their trace as text."""
    return _uuid_of_text(column)


@compiles(_uuid_of_text)
def _as_uuid(element: _uuid_of_text, compiler: SQLCompiler, **kw: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kw)} AS UUID)"


@compiles(_uuid_of_text, "sqlite")
def _as_hexadecimal(element: _uuid_of_text, compiler: SQLCompiler, **kw: Any) -> str:
    return f"replace({compiler.process(element.clauses, **kw)}, '-', '')"


class Granularity(StrEnum):
    """The length of a time bucket. Weeks start on Monday; all buckets are in UTC."""

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
    """The start of the column's bucket.

    To group by the bucket, select it in a subquery: PostgreSQL does not recognize two calls with
    bound parameters as equal.
    """
    return _time_bucket(column, literal_column(f"'{granularity.value}'"))


@compiles(_time_bucket)
def _bucket_on_postgresql(element: _time_bucket, compiler: SQLCompiler, **kw: Any) -> str:
    column, granularity = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"date_trunc({granularity}, {column}, 'UTC')"


@compiles(_time_bucket, "sqlite")
def _bucket_on_sqlite(element: _time_bucket, compiler: SQLCompiler, **kw: Any) -> str:
    # SQLite stores moments as text in UTC. Cutting the text is ten times as fast as date
    # arithmetic, and a short key makes grouping cheap.
    column, granularity = (compiler.process(clause, **kw) for clause in element.clauses)
    match Granularity(granularity.strip("'")):
        case Granularity.HOUR:
            return f"substr({column}, 1, 13)"
        case Granularity.DAY:
            return f"substr({column}, 1, 10)"
        case Granularity.WEEK:
            return f"date(substr({column}, 1, 10), '-6 days', 'weekday 1')"


class _day_text(FunctionElement[str]):
    inherit_cache = True
    type = Text()


def day_text(column: Any) -> Any:
    """The day of a moment in UTC as text, such as `2026-11-27`."""
    return _day_text(column)


@compiles(_day_text)
def _day_on_postgresql(element: _day_text, compiler: SQLCompiler, **kw: Any) -> str:
    moment = compiler.process(element.clauses, **kw)
    return f"to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD')"


@compiles(_day_text, "sqlite")
def _day_on_sqlite(element: _day_text, compiler: SQLCompiler, **kw: Any) -> str:
    return f"substr({compiler.process(element.clauses, **kw)}, 1, 10)"


class _Percentiles(TypeDecorator[list[float]]):
    impl = NullType
    cache_ok = True

    def __init__(self, percents: tuple[int, ...]) -> None:
        super().__init__()
        self.percents = percents

    def process_result_value(self, value: Any, dialect: Dialect) -> list[float] | None:  # noqa: ARG002 - fixed by SQLAlchemy
        if not isinstance(value, str):
            return value and list(value)
        ordered = sorted(number for number in json_codec.loads(value) if number is not None)
        return [_percentile(ordered, percent) for percent in self.percents] if ordered else None


def _percentile(ordered: list[float], percent: int) -> float:
    index, share = divmod(percent * (len(ordered) - 1), 100)
    here, after = ordered[index], ordered[min(index + 1, len(ordered) - 1)]
    return here + (after - here) * share / 100


class _percentiles(FunctionElement[list[float]]):
    name = "percentiles"
    inherit_cache = True


def percentiles(column: ColumnElement[Any], *percents: int) -> Any:
    """Exact percentiles of a group's numbers, in the order given; None for an empty group.

    Interpolates linearly between two numbers. PostgreSQL computes them. SQLite needs six times as
    long to rank rows as to return them, so it returns the group's numbers as one JSON array.
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
