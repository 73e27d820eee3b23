"""What it takes to put traces before a judge.

    python -m bench.rendering TRACES [--repeats 10000]

TRACES are JSON Lines of trace bodies. Prints how large their renderings are against
the indented JSON of the same traces, whether anything a metric asks about is lost,
the CPU time and the memory rendering takes, and how many judge calls a run of all
trace metrics makes with and without sharing.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from statistics import mean

import psutil

from bench import traces
from bench.traces import Body
from core.records import Trace
from evals import catalog
from evals.compact import compact
from evals.evaluation import evaluate
from evals.facts import Facts
from evals.fencing import PREAMBLE
from evals.judge import A, Judgement, Question, Usage
from evals.memory import Flights, RememberingJudge, StoredJudgement
from evals.prompting import Plan
from evals.reading import Reading

WHOLE = 10_000_000
SIZE = 27_000  # bytes of JSON of the trace rendered again and again
MODEL = "gpt-4o"

Counter = Callable[[str], int]


def token_counter() -> tuple[Counter, str]:
    """LiteLLM's own, as far as the encoding is on this machine."""
    import_module("evals.providers")  # sets LiteLLM up to stay offline, before its own import
    count = import_module("litellm").token_counter
    try:
        count(model=MODEL, text="try")
    except OSError:
        return len, f"characters (the encoding of {MODEL} is not on this machine)"
    return lambda text: int(count(model=MODEL, text=text)), f"{MODEL} tokens"


def ratios(found: Sequence[tuple[Body, Trace]], count: Counter) -> list[float]:
    return [
        count(_block(trace)) / count(json.dumps(body, indent=2, ensure_ascii=False))
        for body, trace in found
    ]


def _block(trace: Trace) -> str:
    return Reading(trace).prompt(WHOLE).text.removeprefix(PREAMBLE)


def losses(trace: Trace) -> list[str]:
    """Tool calls and messages that a reader of the rendering would not find, or find twice."""
    text = "\n".join(line.strip() for line in _block(trace).split("\n"))
    facts = Facts(trace)
    lost = [
        f"call [{call.step}]"
        for call in facts.calls
        if f"TOOL {call.name}" not in text
        or _flat(compact(call.arguments)) not in text
        or _flat(call.error or call.result).removeprefix("Error: ") not in text
    ]
    # The same words may have been said more than once.
    said = {f"{message.role}: {_flat(message.text)}" for message in facts.messages}
    return lost + [
        f"message {message[:30]!r}"
        for message in said
        if len(message) > 60 and text.count(message) != 1
    ]


def _flat(text: str) -> str:
    return "\n".join(line.strip() for line in text.split("\n"))


def cpu_per_trace(found: Sequence[Trace]) -> float:
    """Milliseconds, the fastest of five rounds."""
    rounds = []
    for _ in range(5):
        started = time.process_time()
        for trace in found:
            Reading(trace).prompt(100_000)
        rounds.append((time.process_time() - started) / len(found) * 1000)
    return min(rounds)


def memory_growth(bodies: Sequence[Body], repeats: int) -> float:
    """Megabytes of resident memory after rendering `repeats` traces, each loaded anew."""
    process = psutil.Process()
    for body in bodies:
        Reading(traces.record(body)).prompt(100_000)
    before = process.memory_info().rss
    for number in range(repeats):
        Reading(traces.record(bodies[number % len(bodies)])).prompt(100_000)
    return (process.memory_info().rss - before) / 1024 / 1024


class Counting:
    """A judge that answers by the rules, plans included, and counts what it is asked."""

    model = "bench/counting"
    input_tokens = 100_000
    parameters = ""

    def __init__(self) -> None:
        self.calls = 0

    async def ask(self, question: Question[A]) -> Judgement[A]:
        self.calls += 1
        assert question.rule is not None
        answer = question.rule()
        if isinstance(answer, Plan):
            answer = question.answer(reasoning="", declared=True, steps=["Look.", "Answer."])
        return Judgement(answer, Usage(calls=1))

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[1.0] for _ in texts]


class Shelf:
    def __init__(self) -> None:
        self._kept: dict[str, StoredJudgement] = {}

    async def get(self, key: str) -> StoredJudgement | None:
        return self._kept.get(key)

    async def put(self, key: str, judgement: StoredJudgement) -> None:
        self._kept[key] = judgement


async def calls_per_trace(found: Sequence[Trace], names: Sequence[str], *, shared: bool) -> float:
    judge, shelf, flights = Counting(), Shelf(), Flights()
    asked = RememberingJudge(judge, shelf, flights) if shared else judge
    for trace in found:
        reading = Reading(trace)
        await asyncio.gather(
            *(evaluate(catalog.trace_metric(name), reading, asked, judge) for name in names)
        )
    return judge.calls / len(found)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("traces", type=Path)
    parser.add_argument("--repeats", type=int, default=10_000)
    given = parser.parse_args()
    found = list(traces.read(given.traces))
    records = [trace for _, trace in found]
    count, unit = token_counter()
    shares = ratios(found, count)
    print(f"rendering of {len(found)} traces against their indented JSON, in {unit}")
    print(f"  mean {mean(shares):.3f}   smallest {min(shares):.3f}   largest {max(shares):.3f}")
    lost = {str(trace.id): missing for trace in records if (missing := losses(trace))}
    print(f"  traces with a tool call or a message not shown exactly once: {len(lost)}")
    for id, missing in list(lost.items())[:5]:
        print(f"    {id}: {', '.join(missing)}")
    print(f"  CPU per trace {cpu_per_trace(records):.2f} ms")
    middling = sorted(found, key=lambda pair: abs(len(json.dumps(pair[0])) - SIZE))[:10]
    near = [body for body, _ in middling]
    print(
        f"  CPU per trace of about {SIZE // 1000} KB "
        f"{cpu_per_trace([trace for _, trace in middling]):.2f} ms"
    )
    grown = memory_growth(near, given.repeats)
    print(f"  memory after {given.repeats} renderings of such traces: {grown:+.1f} MB")
    metrics = [metric.name for metric in catalog.trace_metrics()]
    three = ["task_completion", "tool_correctness", "step_efficiency"]
    for names in (metrics, three):
        alone = await calls_per_trace(records, names, shared=False)
        shared = await calls_per_trace(records, names, shared=True)
        print(
            f"judge calls per trace, {len(names)} metrics: {shared:.2f} shared, {alone:.2f} without"
        )


if __name__ == "__main__":
    asyncio.run(main())
