"""Reading a trace takes linear time, for any content."""

from collections.abc import Callable
from uuid import UUID

import pytest

from core.trace_model import Trace
from evals.transcript.transcript import Transcript
from tests.evals import made
from tests.timing import MAX_GROWTH, growth

MAX_SIZE = 4_000
UNITS_PER_SIZE = 25
IDS = [UUID(int=number + 1) for number in range(MAX_SIZE)]


def requests_without_spans(size: int) -> Trace:
    asked = made.assistant(None, *(("look", {"n": n}) for n in range(size)))
    spans = (made.tool("look", {"n": -n}, "x") for n in range(size // 4))
    return made.trace(made.llm([made.user("go")], asked), *spans)


def spans_that_fit_no_request(size: int) -> Trace:
    asked = made.assistant(None, *(("look", {"n": n}) for n in range(size)))
    spans = (made.tool("look", {"n": -1 - n}, "x") for n in range(size))
    return made.trace(made.llm([made.user("go")], asked), *spans)


def requests_that_share_one_id(size: int) -> Trace:
    calls = [{"id": "c", "name": "look", "arguments": {"n": n}} for n in range(size)]
    answers = [{"role": "tool", "tool_call_id": "c", "content": f"r{n}"} for n in range(size)]
    return made.trace(
        made.llm([made.user("go")], {"role": "assistant", "tool_calls": calls}),
        made.llm(answers, made.assistant("Done.")),
    )


def answers_that_fit_no_request(size: int) -> Trace:
    calls = [{"id": f"c{n}", "name": "look", "arguments": {"n": n}} for n in range(size)]
    answers = [{"role": "tool", "tool_call_id": f"d{n}", "content": f"r{n}"} for n in range(size)]
    return made.trace(
        made.llm([made.user("go")], {"role": "assistant", "tool_calls": calls}),
        made.llm(answers, made.assistant("Done.")),
    )


def models_within_models(size: int) -> Trace:
    return made.trace(
        *(
            made.llm([made.user(f"q{n}")], made.assistant(f"a{n}"), id=IDS[n],
                     parent_id=IDS[n - 1] if n else None)
            for n in range(size)
        )
    )  # fmt: skip


def the_same_words_again_and_again(size: int) -> Trace:
    words = [made.user(f"q{n % 3}") for n in range(size)]
    return made.trace(made.llm(words, made.assistant("a")), made.llm(words, made.assistant("b")))


def repeated(unit: str, before: str = "", after: str = "") -> Callable[[int], Trace]:
    def build(size: int) -> Trace:
        text = before + unit * (size * UNITS_PER_SIZE) + after
        return made.trace(
            made.llm([made.user(text)], made.assistant(text)), made.tool("t", {"a": text}, text)
        )

    return build


def read(trace: Trace) -> None:
    transcript = Transcript(trace)
    assert transcript.prompt(10_000_000).text
    assert transcript.steps
    assert transcript.content


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        requests_without_spans,
        spans_that_fit_no_request,
        requests_that_share_one_id,
        answers_that_fit_no_request,
        models_within_models,
        the_same_words_again_and_again,
        repeated(" ", "[", "]"),
        repeated("data:a/b;c=d", after=";base64,"),
        repeated("<tool_call>{"),
        repeated("[", "Calling tools:"),
        repeated('{"a":'),
    ],
    ids=lambda build: getattr(build, "__name__", "text"),
)
def test_the_work_grows_with_the_trace_alone(build: Callable[[int], Trace]) -> None:
    small, large = build(MAX_SIZE // 4), build(MAX_SIZE)
    assert growth(lambda: read(small), lambda: read(large)) <= MAX_GROWTH
