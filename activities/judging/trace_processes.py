"""Reads large traces in separate processes, so that no trace blocks a worker.

The content of a trace decides how long reading takes. Python cannot interrupt a regular expression
within its own process, but it can kill another process.
"""

import asyncio
import contextlib
import logging
import pickle
import sys
import time
from typing import Any, Final, Self, TypeVar
from uuid import UUID

from cachetools import TTLCache
from pydantic import JsonValue

from activities.judging.trace_work import (
    LENGTH,
    Broken,
    RuleScore,
    TranscriptWork,
    Work,
    WorkRefused,
)
from core import json_codec
from core.errors import JudgeFailed
from core.trace_model import Trace
from evals.evaluation import Evaluation
from evals.transcript.transcript import Transcript

LARGE_BYTES: Final = 200_000
"""The worker itself reads a smaller trace in about 10 ms, the cost of using a process."""

SPAN_BYTES: Final = 1_500
_SLOW_BYTES: Final = {"{": 200, "data:": 60}
"""What a span, an object and a data URL add to the bytes of a trace.

Many small ones take longer to read than a text of their size: 15,000 calls in 200 KB took 750 ms.
"""

WORK_SECONDS: Final = 30.0
"""Time limit for one trace; the largest trace takes about one second."""

MAX_PROCESSES: Final = 2
MAX_DEATHS: Final = 3
IDLE_SECONDS: Final = 60.0
MAX_REMEMBERED: Final = 1_000
REMEMBERED_SECONDS: Final = 600.0

OURSELVES: Final = "assay"
"""The provider name of failures without a provider."""

log = logging.getLogger("assay.worker")

T = TypeVar("T")


class TraceProcesses:
    """Processes start on demand, and end after a minute without work."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(MAX_PROCESSES)
        self._idle: list[tuple[float, asyncio.subprocess.Process]] = []
        self._failed: TTLCache[tuple[UUID, int], str] = TTLCache(MAX_REMEMBERED, REMEMBERED_SECONDS)

    async def transcript(self, trace: Trace, input_tokens: int) -> Transcript:
        """Raises JudgeFailed as `done` does."""
        return await self.done(TranscriptWork(trace, input_tokens))

    async def rule_score(self, trace: Trace, metric: str) -> Evaluation:
        """Raises JudgeFailed as `done` does."""
        return await self.done(RuleScore(trace, metric))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._idle:
            await _end(self._idle.pop()[1])

    async def done(self, work: Work[T]) -> T:
        """The result of the work.

        Raises JudgeFailed if the work raises a JudgeError, takes too long, or ends its process
        repeatedly. The last two failures are remembered for ten minutes, so that other metrics of
        the trace fail at once.
        """
        # Runs in a thread, because pickling the largest traces takes a tenth of a second.
        request = await asyncio.to_thread(pickle.dumps, work, pickle.HIGHEST_PROTOCOL)
        key = (work.trace.id, hash(request))
        known = self._failed.get(key)
        if known is not None:
            raise JudgeFailed(known, provider=OURSELVES)
        async with self._slots:
            try:
                answer = await self._answer(request)
            except JudgeFailed as error:
                self._failed[key] = error.message
                raise
        if isinstance(answer, WorkRefused):
            raise JudgeFailed(answer.message, provider=OURSELVES)
        if isinstance(answer, Broken):
            raise RuntimeError(f"{answer.error_type} while reading a large trace")
        found: T = answer
        return found

    async def _answer(self, request: bytes) -> Any:
        for _ in range(MAX_DEATHS):
            process = await self._process()
            try:
                async with asyncio.timeout(WORK_SECONDS):
                    data = await _exchange(process, request)
            except TimeoutError:
                await _end(process)
                raise JudgeFailed(
                    f"Reading this trace took longer than {WORK_SECONDS:g} seconds. Its "
                    "content is unusually slow to read; store less of it.",
                    provider=OURSELVES,
                ) from None
            except (OSError, asyncio.IncompleteReadError):
                await _end(process)
                log.warning("A process that read a large trace ended (exit %s)", process.returncode)
                continue
            except BaseException:
                await _end(process)  # A late answer would be read as the answer to the next work.
                raise
            self._idle.append((time.monotonic(), process))
            return await asyncio.to_thread(pickle.loads, data)
        raise JudgeFailed(
            f"Reading this trace ended its process {MAX_DEATHS} times; store less of it.",
            provider=OURSELVES,
        )

    async def _process(self) -> asyncio.subprocess.Process:
        """The process that was used last; ends processes that were idle for a minute."""
        long_ago = time.monotonic() - IDLE_SECONDS
        while self._idle and self._idle[0][0] < long_ago:
            await _end(self._idle.pop(0)[1])
        while self._idle:
            process = self._idle.pop()[1]
            if process.returncode is None:
                return process
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "activities.judging.trace_reader"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # The process needs no settings, and must not see the keys of providers.
            env={},
        )


def is_large(trace: Trace) -> bool:
    """Whether reading the trace may take longer than using a process."""
    work = _work(trace.input) + _work(trace.output)
    for span in trace.spans:
        work += SPAN_BYTES + _work(span.input) + _work(span.output) + _work(span.metadata)
        if work > LARGE_BYTES:
            return True
    return work > LARGE_BYTES


def _work(value: JsonValue) -> int:
    """The size of plain text that takes about as long to read."""
    if value is None:
        return 0
    text = json_codec.dumps(value)
    return len(text) + sum(weight * text.count(mark) for mark, weight in _SLOW_BYTES.items())


async def _exchange(process: asyncio.subprocess.Process, request: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(LENGTH.pack(len(request)))
    process.stdin.write(request)
    await process.stdin.drain()
    head = await process.stdout.readexactly(LENGTH.size)
    return await process.stdout.readexactly(LENGTH.unpack(head)[0])


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
