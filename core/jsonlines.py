"""JSON Lines as people keep them: plain, gzipped, or piped in."""

import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

from core import jsontext
from core.errors import Invalid

_GZIP_MAGIC = b"\x1f\x8b"


class JsonLines:
    """Lines of one file with their numbers, empty ones left out. `-` is standard input."""

    def __init__(self, path: str) -> None:
        """Raises Invalid when there is no such file, or it may not be read."""
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
        """Bytes of the file read so far, as it lies on the disk."""
        return self._raw.tell() if self.size is not None else 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Raises Invalid where the compressed data is damaged."""
        buffered = cast(io.BufferedReader, self._raw)
        zipped = buffered.peek(2)[:2] == _GZIP_MAGIC
        lines = gzip.GzipFile(fileobj=buffered) if zipped else buffered
        try:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Invalid(f"{self.name}: the gzip data is damaged or ends early") from error


def parse(line: bytes) -> dict[str, Any]:
    """One JSON object. Raises Invalid with what is wrong, never with what is in it."""
    try:
        # What Windows writes may begin with a byte order mark.
        body = jsontext.loads(line.decode("utf-8-sig").rstrip())
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
