"""Partitions the scores of two runs, so that all scores of a cluster are in one part.

A part fits into memory. The parts of a large comparison are kept in unnamed temporary files, which
vanish with the process.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Final, Self
from uuid import UUID

from core import json_codec
from core.pairing import KeyedScore

SCORES_PER_PART: Final = 100_000
MAX_PARTS: Final = 200
"""Maximum number of parts, each of which holds a file open."""

Sided = tuple[int, str, KeyedScore]
"""A side (0 baseline, 1 candidate), a metric, and a score."""


class Partitions:
    """Holds `expected` scores, in memory if one part has room for all."""

    def __init__(self, expected: int) -> None:
        self._count = max(1, min(MAX_PARTS, -(-expected // SCORES_PER_PART)))
        self._held: list[Sided] = []
        self._files: list[IO[bytes]] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        if self._count > 1:
            for _ in range(self._count):
                self._files.append(self._open.enter_context(TemporaryFile(prefix="assay-")))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def add(self, side: int, scores: Sequence[tuple[str, KeyedScore]]) -> None:
        if not self._files:
            self._held += [(side, metric, score) for metric, score in scores]
            return
        for metric, one in scores:
            part = zlib.crc32(one.cluster.encode("utf-8", "surrogatepass")) % self._count
            line = [side, metric, one.id.hex, one.key, one.cluster, one.failed, one.number]
            self._files[part].write(json_codec.dumps(line).encode("utf-8", "surrogatepass") + b"\n")

    def parts(self) -> Iterator[list[Sided]]:
        """Each part once. The memory of a part is released when the next part is requested."""
        if not self._files:
            yield self._held
            self._held = []
        for file in self._files:
            file.seek(0)
            yield [_read(line) for line in file]
            file.close()


def _read(line: bytes) -> Sided:
    side, metric, score_id, key, cluster, failed, number = json_codec.loads(line)
    return side, metric, KeyedScore(UUID(hex=score_id), key, cluster, failed, number)
