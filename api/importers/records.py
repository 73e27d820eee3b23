"""Reads the records of an exported file: JSON Lines, one JSON document, or Parquet."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from api.cli.jsonlines import JsonLines, parse
from api.importers.source import Json
from core import json_codec
from core.errors import Invalid

MAX_DOCUMENT_BYTES: Final = 512 * 1024 * 1024
"""Maximum size of a single JSON document, which is read into memory as a whole."""

_MAX_MEGABYTES: Final = MAX_DOCUMENT_BYTES // 2**20
_PARQUET: Final = b"PAR1"
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_SNIFFED_BYTES: Final = 1 << 16
_LISTS: Final = ("data", "traces", "spans", "runs", "observations")
"""Keys under which responses of APIs list their items."""
_OWN: Final = frozenset(("id", "info", "trace", "started_at", "messages"))
"""Keys of a record that contains such a list itself, such as a trace with its spans."""

_ROWS_PER_BATCH: Final = 500

Record = tuple[str, Json | Invalid]
"""The position in the file, and the record or the reason why it cannot be read."""


def records(path: str) -> Iterator[Record]:
    """Raises Invalid if the rest of the file cannot be read."""
    beginning = _beginning(path)
    if beginning.startswith(_PARQUET):
        yield from _of_parquet(path)
    elif _is_document(beginning):
        yield from _of_document(path)
    else:
        yield from _of_lines(path)


def _beginning(path: str) -> bytes:
    """The readable beginning of the file; later damage is reported when the whole file is read."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(_SNIFFED_BYTES)
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}") from error
    if not start.startswith(_GZIP):
        return start
    try:
        return zlib.decompressobj(_GZIP_WINDOW).decompress(start, _SNIFFED_BYTES)
    except zlib.error:
        return b""


def _is_document(beginning: bytes) -> bool:
    """Whether the file is one JSON document, not one object per line."""
    start = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        return True
    first, newline, _ = start.partition(b"\n")
    if not start.startswith(b"{") or not newline:
        return False
    try:
        parse(first)
    except Invalid:
        return first.rstrip() in (b"{", b"{}") or not first.rstrip().endswith(b"}")
    return False


def _of_lines(path: str) -> Iterator[Record]:
    with JsonLines(path) as lines:
        for number, line in lines:
            try:
                found = parse(line)
            except Invalid as error:
                yield f"line {number}", error
                continue
            for one in _listed(found):
                yield f"line {number}", _checked(one)


def _of_document(path: str) -> Iterator[Record]:
    if Path(path).stat().st_size > MAX_DOCUMENT_BYTES:
        raise Invalid(
            f"{path}: one JSON document of more than {_MAX_MEGABYTES} MB. Export it "
            "as JSON Lines, one object per line."
        )
    try:
        content = _content(path)
        if len(content) > MAX_DOCUMENT_BYTES:
            raise Invalid(f"{path}: one JSON document of more than {_MAX_MEGABYTES} MB unzipped")
        document = json_codec.loads(content.decode("utf-8-sig"))
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise Invalid(f"{path}: the gzip data is damaged or ends early") from None
    except (ValueError, RecursionError):
        raise Invalid(f"{path}: not valid JSON") from None
    for number, one in enumerate(_listed(document), start=1):
        yield f"item {number}", _checked(one)


def _content(path: str) -> bytes:
    """The content, read up to one byte beyond the limit."""
    with Path(path).open("rb") as file:
        zipped = file.peek(2)[:2] == _GZIP
        source = gzip.GzipFile(fileobj=file) if zipped else file
        return source.read(MAX_DOCUMENT_BYTES + 1)


def _checked(raw: Any) -> Json | Invalid:
    return raw if isinstance(raw, dict) else Invalid("not a JSON object")


def _listed(raw: Any) -> list[Any]:
    if isinstance(raw, list):
        return raw
    if not isinstance(raw, dict) or raw.keys() & _OWN:
        return [raw]
    lists = [raw[name] for name in _LISTS if isinstance(raw.get(name), list)]
    return lists[0] if lists else [raw]


def _of_parquet(path: str) -> Iterator[Record]:
    # Imported here, because PyArrow takes a second to load and few files need it.
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path)
        number = 0
        for batch in table.iter_batches(_ROWS_PER_BATCH):
            for row in batch.to_pylist():
                number += 1
                # Converts times and nested values to JSON.
                yield f"row {number}", json.loads(json.dumps(row, default=_as_json))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise Invalid(
            f"{path}: the Parquet data cannot be read ({type(error).__name__})"
        ) from error


def _as_json(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.tolist() if hasattr(value, "tolist") else str(value)
