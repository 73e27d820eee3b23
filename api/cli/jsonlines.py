"""Reads JSON Lines: plain, gzipped, or from standard input."""

import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, cast

from core import json_codec
from core.errors import Invalid

MAX_LINE_BYTES: Final = 10 * 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"


class JsonLines:
    """The numbered, non-empty lines of one file. `-` is standard input."""

    def __init__(self, path: str) -> None:
        """Raises Invalid if the file is missing or unreadable."""
        self.name = "standard input" if path == "-" else path
        self.size: int | None = None
        try:
            if path == "-":
                self._raw = cast(BinaryIO, sys.stdin.buffer)
            else:
                self._raw = Path(path).open("rb")  # noqa: SIM115 closed by __exit__
                self.size = Path(path).stat().st_size
        except OSError as error:
            raise Invalid(f"{path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.size is not None:
            self._raw.close()

    @property
    def position(self) -> int:
        """Bytes read from the file so far, before decompression."""
        return self._raw.tell() if self.size is not None else 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Raises Invalid if the compressed data is damaged."""
        buffered = cast(io.BufferedReader, self._raw)
        zipped = buffered.peek(2)[:2] == _GZIP_MAGIC
        lines = gzip.GzipFile(fileobj=buffered) if zipped else buffered
        try:
            for number, line in enumerate(_bounded(lines), start=1):
                if line.strip():
                    yield number, line
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Invalid(f"{self.name}: the gzip data is damaged or ends early") from error


def _bounded(file: gzip.GzipFile | io.BufferedReader) -> Iterator[bytes]:
    """The lines of a file. Replaces a line beyond the limit by a line that `parse` refuses."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1)


def parse(line: bytes) -> dict[str, Any]:
    """Parses one JSON object. Raises Invalid; the message never quotes the line."""
    if len(line) > MAX_LINE_BYTES:
        raise Invalid(
            f"longer than {MAX_LINE_BYTES // 1024**2} MB, the largest body that the server accepts"
        )
    try:
        # Files written on Windows may begin with a byte order mark.
        body = json_codec.loads(line.decode("utf-8-sig").rstrip())
    except UnicodeDecodeError:
        raise Invalid("not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise Invalid(f"not valid JSON ({error.msg} at column {error.colno})") from None
    except ValueError as error:
        raise Invalid(f"not valid JSON ({error})") from None
    except RecursionError:
        raise Invalid("nested too deeply") from None
    if not isinstance(body, dict):
        raise Invalid("not a JSON object")
    return body
