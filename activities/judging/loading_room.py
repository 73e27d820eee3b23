"""Limits the memory for large traces that a worker holds at once.

Without the limit, a run over many large traces would take all memory of every worker, and stop the
runs of all projects.
"""

import asyncio
import gc
import math
import threading
import time
import weakref
from typing import Final

from core.errors import NoPermit, PermitWait
from evals.transcript.transcript import Transcript

MAX_LOADED_BYTES: Final = 100_000_000
"""Stored bytes of the large traces that one worker holds; in memory they take about five times as
much.
"""

MAX_WAIT_SECONDS: Final = 5.0
"""Maximum time that an activity holds its slot while it waits for room."""

_LOOK_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 5.0
_COLLECT_SECONDS: Final = 60.0


class LoadingRoom:
    """The bytes of large traces in memory. A trace counts as long as its transcript is in use."""

    def __init__(self) -> None:
        self._held = 0
        self._collected_at = -math.inf
        # Transcripts may be dropped in any thread.
        self._lock = threading.Lock()
        self._turnstile = asyncio.Lock()

    async def take(self, size: int, *, may_wait: bool) -> None:
        """Takes the bytes as soon as they are free; at once if no large trace is loaded.

        With `may_wait` false, the bytes are taken in any case: a caller that holds one trace must
        not wait for another. Raises NoPermit.
        """
        if not may_wait:
            self._add(size)
            return
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS), self._turnstile:
                while self._held and self._held + size > MAX_LOADED_BYTES:  # noqa: ASYNC110 - transcripts may be dropped in any thread, which could not set an event
                    await asyncio.sleep(_LOOK_SECONDS)
                self._add(size)
        except TimeoutError:
            self._collect_garbage()
            raise NoPermit(
                "The worker holds as many large traces as its memory allows; this one waits.",
                provider="assay",
                retry_after=_RETRY_SECONDS,
                cause=PermitWait.CONCURRENCY,
            ) from None

    def free_with(self, transcript: Transcript, size: int) -> None:
        """Frees the bytes when the transcript is dropped."""
        weakref.finalize(transcript, self._add, -size).atexit = False

    def free(self, size: int) -> None:
        self._add(-size)

    def _collect_garbage(self) -> None:
        """Drops transcripts that only cycles of exceptions and their frames refer to."""
        now = time.monotonic()
        if now - self._collected_at >= _COLLECT_SECONDS:
            self._collected_at = now
            gc.collect()

    def _add(self, size: int) -> None:
        with self._lock:
            self._held += size
