"""Writers of file formats, which take records page by page and return bytes as they are ready."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from api.exports.columns import csv_row
from core import json_codec

if TYPE_CHECKING:
    import pyarrow as pa

Record = Mapping[str, Any]


class Format(StrEnum):
    JSON_LINES = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"

    @property
    def media_type(self) -> str:
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    Format.JSON_LINES: "application/x-ndjson",
    Format.CSV: "text/csv; charset=utf-8",
    Format.PARQUET: "application/vnd.apache.parquet",
}


class RecordWriter(Protocol):
    """A writer of one file. Only one thread at a time may use it."""

    def write(self, records: Sequence[Record]) -> bytes: ...

    def finish(self) -> bytes:
        """The end of the file. An export without records is a valid file too."""
        ...


class JsonLinesWriter:
    def write(self, records: Sequence[Record]) -> bytes:
        return "".join(f"{json_codec.dumps(_plain(one))}\n" for one in records).encode()

    def finish(self) -> bytes:
        return b""


class CsvWriter:
    """CSV with a header, by RFC 4180."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._begun = False

    def write(self, records: Sequence[Record]) -> bytes:
        rows = [csv_row(one, self._columns) for one in records]
        return self._header() + _csv(rows)

    def finish(self) -> bytes:
        return self._header()

    def _header(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return _csv([self._columns])


ROWS_PER_GROUP: Final = 20_000
GROUP_BYTES: Final = 16 * 2**20
"""Rows and bytes at which a row group is written.

Few groups keep the memory small, because the list of all groups stays in memory until the end of
the file.
"""


class ParquetWriter:
    """Row groups of up to `ROWS_PER_GROUP` rows, compressed with zstd."""

    def __init__(self, schema: "Callable[[], pa.Schema]") -> None:
        # Imported here, because PyArrow takes 0.3 s and 60 MB to load.
        import pyarrow.parquet as pq

        self._schema = schema()
        self._sink = io.BytesIO()
        self._told = 0
        self._gathered: list[pa.Table] = []
        self._file = pq.ParquetWriter(_Drained(self), self._schema, compression="zstd")

    def write(self, records: Sequence[Record]) -> bytes:
        import pyarrow as pa

        table = pa.Table.from_pylist([dict(one) for one in records], schema=self._schema)
        self._gathered.append(table)
        rows = sum(one.num_rows for one in self._gathered)
        if rows >= ROWS_PER_GROUP or sum(one.nbytes for one in self._gathered) >= GROUP_BYTES:
            self._write_group()
        return self.taken()

    def finish(self) -> bytes:
        if self._gathered:
            self._write_group()
        self._file.close()
        return self.taken()

    def _write_group(self) -> None:
        import pyarrow as pa

        self._file.write_table(pa.concat_tables(self._gathered))
        self._gathered = []

    def put(self, content: bytes) -> int:
        self._told += len(content)
        return self._sink.write(content)

    def position(self) -> int:
        return self._told

    def taken(self) -> bytes:
        """The bytes written since the last call; only these are kept in memory."""
        content = self._sink.getvalue()
        self._sink = io.BytesIO()
        return content


class _Drained(io.RawIOBase):
    """A write-only file for PyArrow, whose content is passed on."""

    def __init__(self, writer: ParquetWriter) -> None:
        self._writer = writer

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        return self._writer.put(bytes(content))

    def tell(self) -> int:
        return self._writer.position()


def score_schema() -> "pa.Schema":
    import pyarrow as pa

    finding = pa.struct(
        [
            *((name, pa.string()) for name in ("kind", "text", "verdict")),
            ("points", pa.float64()),
            ("steps", pa.list_(pa.int32())),
            ("span_ids", pa.list_(pa.string())),
        ]
    )
    moment, whole = pa.timestamp("us", tz="UTC"), pa.int64()
    return pa.schema(
        [
            *_texts("score_id", "run_id", "target_type", "target_id", "metric", "status"),
            *(("value", pa.float64()), ("threshold", pa.float64())),
            *(("success", pa.bool_()), ("applicable", pa.bool_())),
            *_texts("reason", "environment", "model", "metric_version"),
            *(("judge_calls", whole), ("cached_calls", whole)),
            *(("prompt_tokens", whole), ("completion_tokens", whole)),
            *(("cost_usd", pa.float64()), ("repair_calls", whole)),
            *(("repair_cost_usd", pa.float64()), ("findings", pa.list_(finding))),
            ("created_at", moment),
        ]
    )


def trace_schema() -> "pa.Schema":
    import pyarrow as pa

    moment, whole = pa.timestamp("us", tz="UTC"), pa.int64()
    return pa.schema(
        [
            *_texts("trace_id", "name", "status"),
            *(("started_at", moment), ("ended_at", moment)),
            *_texts("session_id", "user_id"),
            ("tags", pa.list_(pa.string())),
            *_texts("environment", "release"),
            *(("latency_ms", pa.float64()), ("span_count", whole), ("total_tokens", whole)),
            ("total_cost", pa.float64()),
            *_texts("input", "output", "metadata"),
        ]
    )


def _texts(*names: str) -> "Iterable[tuple[str, pa.DataType]]":
    import pyarrow as pa

    return [(name, pa.string()) for name in names]


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _plain(record: Record) -> dict[str, Any]:
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in record.items()
    }
