"""Rows whose JSON columns are decoded apart from their query.

The database drivers decode on the event loop, and a trace may hold 20 MB of JSON.
"""

import asyncio
from collections import namedtuple
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import JSON, Column, ColumnElement, Row
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

from core.db import dialect

MAX_SIZE_ON_LOOP: Final = 64 * 1024
"""Characters whose decoding takes less than a millisecond, about as long as using a thread."""


class DeferredJson:
    """Selects columns of a table, and decodes their rows into named tuples.

    A query selects `columns`. `decode` takes milliseconds per megabyte.
    """

    def __init__(self, columns: Sequence[Column[Any]]) -> None:
        documents = [isinstance(column.type, JSON) for column in columns]
        self.columns: Sequence[ColumnElement[Any]] = [
            _UndecodedJson(column).label(column.name) if document else column
            for column, document in zip(columns, documents, strict=True)
        ]
        self._documents = [place for place, document in enumerate(documents) if document]
        names = [column.name for column in columns]
        self._row = namedtuple("DecodedRow", names)  # type: ignore[misc]  # names of the table

    def decode(self, rows: Iterable[Row[Any]]) -> list[Any]:
        decoded = []
        for row in rows:
            values = list(row)
            for place in self._documents:
                values[place] = dialect.document(values[place])
            decoded.append(self._row(*values))
        return decoded

    async def decode_apart(self, rows: Sequence[Row[Any]]) -> list[Any]:
        """Like `decode`, for much text in a thread."""
        if self.size(rows) <= MAX_SIZE_ON_LOOP:
            return self.decode(rows)
        return await asyncio.to_thread(self.decode, rows)

    def size(self, rows: Sequence[Row[Any]]) -> int:
        """The number of characters to decode."""
        return sum(
            len(row[place])
            for row in rows
            for place in self._documents
            if isinstance(row[place], str)
        )


class _UndecodedJson(FunctionElement[Any]):
    """A JSON column as the database stores it."""

    inherit_cache = True
    type = NullType()


@compiles(_UndecodedJson)
def _as_text(element: _UndecodedJson, compiler: SQLCompiler, **kw: Any) -> str:
    # asyncpg would decode a value of type JSON itself.
    return f"CAST({compiler.process(element.clauses, **kw)} AS TEXT)"


@compiles(_UndecodedJson, "sqlite")
def _as_stored(element: _UndecodedJson, compiler: SQLCompiler, **kw: Any) -> str:
    # A cast would cut the digits of a document that is a plain number.
    return compiler.process(element.clauses, **kw)
