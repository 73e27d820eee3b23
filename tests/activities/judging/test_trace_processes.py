"""A trace that is slow to read, or ends its reader, delays no other trace."""

import asyncio
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from activities.judging import trace_processes
from activities.judging.trace_processes import LARGE_BYTES, TraceProcesses, is_large
from activities.judging.trace_work import LENGTH
from core.errors import JudgeFailed
from core.trace_model import Trace
from evals import catalog
from evals.evaluation import evaluate
from evals.judges.offline import RulesJudge
from evals.transcript.transcript import Transcript
from tests.evals import made
from tests.fakes import FakeEmbedder

LONG = "a word and another "

# Each test starts processes that import the metrics.
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class SlowPattern:
    """Takes exponential time, during which no other Python code runs."""

    trace: Trace

    def result(self) -> str:
        assert re.match(r"(a+)+$", "a" * 60 + "b") is None
        return "read"


@dataclass(frozen=True)
class Deadly:
    trace: Trace

    def result(self) -> str:
        os._exit(3)


@dataclass(frozen=True)
class Faulty:
    trace: Trace

    def result(self) -> str:
        raise KeyError("what the trace says")


def large() -> Trace:
    text = LONG * 12_000
    return made.trace(
        made.llm([made.user("Find it.")], made.assistant(None, ("look", {"q": text}))),
        made.tool("look", {"q": text}, text),
        made.llm([], made.assistant("Found.")),
    )


@pytest.fixture
async def processes() -> AsyncIterator[TraceProcesses]:
    async with TraceProcesses() as readers:
        yield readers


async def longest_pause(until: asyncio.Task[object]) -> float:
    """The longest time in which the event loop did not run, in seconds."""
    longest, last = 0.0, time.monotonic()
    while not until.done():
        await asyncio.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    return longest


async def test_a_slow_pattern_ends_in_time_while_the_loop_runs_and_others_are_read(
    processes: TraceProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = large()
    await processes.transcript(other, 1_000)  # Waits until a process has started.
    monkeypatch.setattr(trace_processes, "WORK_SECONDS", 3.0)
    slow = asyncio.create_task(processes.done(SlowPattern(large())))
    pausing = asyncio.create_task(longest_pause(slow))
    for budget in (2_000, 3_000):
        await processes.transcript(other, budget)
    assert not slow.done(), "the others did not wait for it"
    with pytest.raises(JudgeFailed, match="took longer than 3 seconds"):
        await slow
    assert await pausing < 1.0


async def test_a_slow_trace_is_not_read_again_for_its_next_metric(
    processes: TraceProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_processes, "WORK_SECONDS", 0.0)
    work = SlowPattern(large())
    for _ in range(2):
        with pytest.raises(JudgeFailed, match="took longer"):
            await processes.done(work)
    monkeypatch.setattr(trace_processes, "WORK_SECONDS", 600.0)
    with pytest.raises(JudgeFailed, match="took longer"):
        await asyncio.wait_for(processes.done(work), 5)


async def test_a_trace_that_ends_its_process_fails_with_the_reason(
    processes: TraceProcesses,
) -> None:
    with pytest.raises(JudgeFailed, match="ended its process 3 times"):
        await processes.done(Deadly(large()))


def test_a_reader_whose_worker_was_killed_ends_itself() -> None:
    request = pickle.dumps(SlowPattern(large()))
    limited = "from activities.judging import trace_reader as r; r.MAX_WORK_SECONDS = 1"
    serving = "import sys; r.serve(sys.stdin.buffer, sys.stdout.buffer)"
    ended = subprocess.run(
        [sys.executable, "-c", f"{limited}; {serving}"],
        input=LENGTH.pack(len(request)) + request,
        check=False,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGALRM


async def test_an_error_tells_its_type_and_nothing_of_the_trace(processes: TraceProcesses) -> None:
    with pytest.raises(RuntimeError) as raised:
        await processes.done(Faulty(large()))
    assert "KeyError" in str(raised.value)
    assert "what the trace says" not in str(raised.value)


def test_a_trace_of_many_small_parts_is_large_before_its_bytes_are() -> None:
    calls = made.trace(*(made.tool("look", {"n": n}, "ok") for n in range(1_000)))
    asked = [("look", {"n": n}) for n in range(1_000)]
    requests = made.trace(made.llm([made.user("go")], made.assistant(None, *asked)))
    urls = made.trace(made.tool("look", {}, "data:a/b;c=d" * 4_000))
    for trace in (calls, requests, urls):
        assert len(trace.model_dump_json()) < 2 * LARGE_BYTES
        assert is_large(trace)
    text = made.trace(made.llm([made.user("go")], made.assistant("word " * (LARGE_BYTES // 6))))
    assert not is_large(text)


async def test_a_process_reads_and_scores_as_the_worker_itself_does(
    processes: TraceProcesses,
) -> None:
    trace = large()
    assert is_large(trace)
    assert not is_large(made.trace(made.llm([made.user("a")], made.assistant("b"))))
    here, there = Transcript(trace), await processes.transcript(trace, 4_000)
    assert there.prompt(4_000) == here.prompt(4_000)
    assert there.steps == here.steps
    assert there.facts.calls == here.facts.calls
    for name in ("step_efficiency", "plan_quality"):
        expected = await evaluate(catalog.trace_metric(name), trace, RulesJudge(), FakeEmbedder())
        assert await processes.rule_score(trace, name) == expected
