"""The size, the completeness and the cost of transcripts.

python -m bench.rendering TRACES [--repeats 10000]

TRACES are JSON Lines of trace bodies. Prints the size of the renderings relative to the indented
JSON, the content that metrics need and the renderings lack, and the CPU time and memory of
rendering.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from statistics import mean

import psutil
from pydantic import JsonValue

from bench import traces
from bench.traces import Body
from core.ids import SpanKind
from core.json_codec import dumps
from core.trace_model import Span, Trace
from evals.transcript.compact_json import compact, decoded
from evals.transcript.facts import Facts
from evals.transcript.fencing import PREAMBLE, neutralised
from evals.transcript.transcript import Transcript

WHOLE = 10_000_000
SIZE = 27_000  # bytes of JSON of the repeatedly rendered trace
MODEL = "gpt-4o"

Counter = Callable[[str], int]


def token_counter() -> tuple[Counter, str]:
    """Counts tokens with LiteLLM if the model's encoding is installed, else characters."""
    import_module(
        "evals.judges.litellm_client"
    )  # configures LiteLLM to stay offline, before its import
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
    return Transcript(trace).prompt(WHOLE).text.removeprefix(PREAMBLE)


def losses(trace: Trace) -> list[str]:
    """Tool calls and messages that the rendering lacks or shows twice."""
    text = _joined("\n".join(line.partition("|")[2] for line in _block(trace).split("\n")))
    facts = Facts(trace)
    lost = [
        f"call [{call.step}]"
        for call in facts.calls
        if any(
            _joined(part) not in text
            for part in (
                call.name,
                compact(call.arguments),
                (call.result or call.error or "").removeprefix("Error: "),
            )
        )
    ]
    # The same text may occur more than once.
    said = {_joined(message.text) for message in facts.messages}
    return lost + [
        f"message {message[:30]!r}"
        for message in said
        if message not in text
        or (
            len(message) > 100
            and text.count(message) != 1
            and sum(message in other for other in said) == 1
        )
    ]


def missing(trace: Trace, budget_tokens: int = WHOLE) -> list[str]:
    """User messages, tool arguments and tool results that the rendering neither shows nor marks.

    Read from the spans themselves, so that faults in reading messages are detected too.
    """
    prompt = Transcript(trace).prompt(budget_tokens)
    text = _joined("".join(line.partition("|")[2] for line in prompt.text.split("\n")))
    if prompt.truncated and "left out" in prompt.text:
        return []
    values = [value for span in trace.spans for value in _contents(span)]
    return [
        value[:60]
        for value in values
        if _joined(value) not in text and _joined(dumps(value)[1:-1]) not in text
    ]


def _contents(span: Span) -> Iterator[str]:
    if span.kind is SpanKind.TOOL:
        yield from _leaves(span.input)
        yield from _leaves(span.output)
    elif span.kind is SpanKind.LLM and isinstance(span.input, dict):
        messages = span.input.get("messages")
        for message in messages if isinstance(messages, list) else ():
            if isinstance(message, dict) and message.get("role") == "user":
                yield from _leaves(message.get("content"))


def _leaves(value: JsonValue) -> Iterator[str]:
    """The texts and numbers in a value, including those in texts that hold JSON."""
    if isinstance(value, str):
        inner = decoded(value)
        if isinstance(inner, str):
            yield value
        else:
            yield from _leaves(inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _joined(text: str) -> str:
    """The text in the fence's form, without white space, because the layout changes white space."""
    return "".join(neutralised(text).split())


def cpu_per_trace(found: Sequence[Trace]) -> float:
    """CPU milliseconds per trace, the fastest of five rounds."""
    rounds = []
    for _ in range(5):
        started = time.process_time()
        for trace in found:
            Transcript(trace).prompt(100_000)
        rounds.append((time.process_time() - started) / len(found) * 1000)
    return min(rounds)


def memory_growth(bodies: Sequence[Body], repeats: int) -> float:
    """Growth of resident memory in megabytes after rendering `repeats` freshly loaded traces."""
    process = psutil.Process()
    for body in bodies:
        Transcript(traces.record(body)).prompt(100_000)
    before = process.memory_info().rss
    for number in range(repeats):
        Transcript(traces.record(bodies[number % len(bodies)])).prompt(100_000)
    return (process.memory_info().rss - before) / 1024 / 1024


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
    lost = {str(trace.id): what for trace in records if (what := losses(trace))}
    print(f"  traces with a tool call or a message not shown exactly once: {len(lost)}")
    for span_id, what in list(lost.items())[:5]:
        print(f"    {span_id}: {', '.join(what)}")
    gone = {str(trace.id): what for trace in records if (what := missing(trace))}
    print(f"  traces with a user message, argument or result that is not shown: {len(gone)}")
    for span_id, what in list(gone.items())[:5]:
        print(f"    {span_id}: {', '.join(what[:5])}")
    print(f"  CPU per trace {cpu_per_trace(records):.2f} ms")
    middling = sorted(found, key=lambda pair: abs(len(json.dumps(pair[0])) - SIZE))[:10]
    near = [body for body, _ in middling]
    print(
        f"  CPU per trace of about {SIZE // 1000} KB "
        f"{cpu_per_trace([trace for _, trace in middling]):.2f} ms"
    )
    grown = memory_growth(near, given.repeats)
    print(f"  memory after {given.repeats} renderings of such traces: {grown:+.1f} MB")


if __name__ == "__main__":
    asyncio.run(main())
