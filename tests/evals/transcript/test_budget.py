"""Traces that do not fit: removed and remaining parts, and the time."""

import time

import pytest

from core.ids import SpanStatus
from core.trace_model import Span, Trace
from evals.transcript.rendering import BYTES_PER_TOKEN
from evals.transcript.transcript import Transcript
from tests.evals import made

BUDGET = 4_000
REQUEST = "Please move all of my bookings to the week after Easter."
ANSWER = "All of your bookings are moved, except one that cannot be."


def long_trace(times: int, steps: int = 40) -> Trace:
    """A trace of about `times` the budget, with the same content at every size."""
    filler = "lorem ipsum dolor " * max(1, int(times * BUDGET * BYTES_PER_TOKEN / steps / 18))
    spans = [made.llm([made.user(REQUEST)], made.assistant(None, ("list_bookings", {})))]
    spans += [made.tool(f"move_booking_{n % 7}", {"id": n}, f"{n}: {filler}") for n in range(steps)]
    spans.insert(
        steps // 2,
        made.tool(
            "move_locked", {"id": "L"}, filler, status=SpanStatus.ERROR, error="booking is locked"
        ),
    )
    spans.append(made.llm([], made.assistant(ANSWER)))
    return made.trace(*spans, input=REQUEST, output=ANSWER)


def body(trace: Trace, budget: int = BUDGET) -> str:
    text = Transcript(trace).prompt(budget).text
    return text[text.index("<trace-") :]


@pytest.mark.parametrize("times", [10, 300])
def test_the_story_outlasts_the_cut(times: int) -> None:
    reading = Transcript(long_trace(times))
    text = body(reading.trace)
    assert reading.prompt(BUDGET).truncated
    assert len(text.encode()) <= BUDGET * BYTES_PER_TOKEN + 100
    assert len(text.encode()) >= 0.5 * BUDGET * BYTES_PER_TOKEN
    assert REQUEST in text
    assert ANSWER in text
    assert "booking is locked" in text
    assert all(f"move_booking_{n}" in text for n in range(7))
    assert "characters left out" in text


@pytest.mark.slow
@pytest.mark.parametrize("steps", [3_000, 8_000])
def test_steps_by_the_thousand_are_folded_and_still_named(steps: int) -> None:
    text = body(long_trace(100, steps))
    assert len(text.encode()) <= BUDGET * BYTES_PER_TOKEN + 100
    assert "steps left out" in text
    assert REQUEST in text
    assert ANSWER in text
    assert "booking is locked" in text
    assert all(f"move_booking_{n}" in text for n in range(7))


@pytest.mark.parametrize("budget", [300, 1_000, 4_000, 30_000])
@pytest.mark.parametrize("letter", ["a", "é", "東", "👩"])
def test_no_script_overruns_the_budget(letter: str, budget: int) -> None:
    trace = made.trace(*(made.tool("t", {"n": n}, letter * 20_000) for n in range(20)))
    assert len(body(trace, budget).encode()) <= budget * BYTES_PER_TOKEN + 100


def test_text_without_words_counts_for_the_tokens_it_takes() -> None:
    wordless, words = "x9Zq" * 5_000, "sick fox " * 5_000
    assert len(body(made.trace(made.tool("t", None, wordless)), 2_000)) < 4_000
    assert len(body(made.trace(made.tool("t", None, words)), 2_000)) > 5_000


def test_tools_on_offer_keep_their_names() -> None:
    tools = [{"name": f"tool_{n}_", "description": "about " * 60} for n in range(60)]
    trace = made.trace(
        *(made.tool("tool_1_", {"n": "n" * 3_000}, "r" * 3_000) for _ in range(9)),
        metadata={"tools": tools},
    )
    for budget in (1_500, 3_000):
        text = body(trace, budget)
        assert len(text.encode()) <= budget * BYTES_PER_TOKEN + 100
        assert all(f"tool_{n}_" in text for n in range(60))


def test_even_an_absurd_budget_is_kept() -> None:
    names = [made.tool(f"tool_{n}_" + "n" * 100, None, "x" * 500) for n in range(50)]
    assert len(body(made.trace(*names), 40)) < 300


def test_the_longest_output_gives_way_first() -> None:
    trace = made.trace(
        made.tool("short", {"key": "K" * 300}, "S" * 2_000),
        made.tool("long", {"key": "K" * 300}, "L" * 200_000),
    )
    text = body(trace)
    assert "S" * 2_000 in text
    assert text.count("K" * 300) == 2
    assert "L" * 200_000 not in text
    assert text.count("L" * 500) > 1
    assert "characters left out" in text


def test_a_text_is_cut_in_its_middle() -> None:
    result = "BEGIN" + "x" * 100_000 + "FINISH"
    text = body(made.trace(made.tool("t", None, result)))
    assert "result | BEGIN" in text
    assert "FINISH" in text


def test_what_fits_is_not_touched() -> None:
    reading = Transcript(made.conversation())
    assert not reading.prompt(100_000).truncated
    assert "left out" not in body(reading.trace, 100_000)


def test_a_huge_request_and_a_huge_answer_are_both_still_there() -> None:
    request, answer = "R" * 100_000, "A" * 100_000
    trace = made.trace(
        made.llm([made.user(request)], made.assistant(answer)), input=request, output=answer
    )
    text = body(trace)
    assert text.count("R") > 500
    assert text.count("A") > 500
    assert len(text.encode()) <= BUDGET * BYTES_PER_TOKEN + 100


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["one output", "many outputs", "json in a string", "with histories"]
)
def test_ten_megabytes_render_within_a_second(kind: str) -> None:
    size = 10 * 1024 * 1024
    if kind == "one output":
        trace = made.trace(made.tool("t", None, "word é <b> " * (size // 11)))
    elif kind == "many outputs":
        trace = made.trace(
            *(made.tool("t", {"n": n}, f"{n} word " * (size // 4_000)) for n in range(500))
        )
    elif kind == "json in a string":
        row = '{"id": 1234, "name": "somebody", "tags": ["a", "b"]}, '
        trace = made.trace(made.tool("t", None, "[" + row * (size // len(row)) + "{}]"))
    else:
        # Each call repeats the whole history: 100 messages of 2 kB add up to 10 MB.
        history = [made.user("Hello")]
        spans: list[Span] = []
        for turn in range(100):
            reply = made.assistant(f"Answer {turn} " + "word " * 420)
            spans.append(made.llm(history, reply))
            history += [reply, made.user(f"Next {turn}")]
        trace = made.trace(*spans)
    started = time.process_time()
    Transcript(trace).prompt(32_000)
    assert time.process_time() - started < 1.0
