from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.ids import SpanKind, SpanStatus, TraceStatus
from core.jsontext import dumps
from core.records import Trace
from evals.reading import Reading
from tests.evals import made


def rendered(trace: Trace, budget: int = 100_000) -> str:
    text = Reading(trace).prompt(budget).text
    return text[text.index("<trace-") :]


def test_a_conversation_reads_like_one() -> None:
    request = "Where is order 7? I have been waiting for it since Monday."
    answer = "Order 7 left our warehouse this morning and arrives tomorrow."
    root = uuid4()
    trace = made.trace(
        made.span(SpanKind.AGENT, "shop", id=root, input=request, output=answer),
        made.llm(
            [{"role": "system", "content": "Help customers.\nBe brief."}, made.user(request)],
            made.assistant(None, ("find_order", '{"order": 7}')),
            parent_id=root,
            model="small-model",
        ),
        made.tool("find_order", {"order": 7}, '{"state": "sent", "eta": null}', parent_id=root),
        made.llm([{"role": "tool", "content": '{"state": "sent", "eta": null}'}],
                 made.assistant(answer), parent_id=root, model="small-model"),
        input=request,
        output=answer,
    )  # fmt: skip
    assert rendered(trace).split("\n")[1:-2] == [
        "Trace support-agent: COMPLETED, 3s, 4 steps",
        "  input: (same as user in [2])",
        "[1] AGENT shop 1s",
        "[2] LLM chat small-model 1s -> [3]",
        "  system: Help customers.",
        "    Be brief.",
        f"  user: {request}",
        "[3] TOOL find_order 1s",
        '  arguments: {"order":7}',
        '  result: {"state":"sent","eta":null}',
        "[4] LLM 1s",
        f"  assistant: {answer}",
        "End",
        "  output: (same as assistant in [4])",
    ]


def test_a_history_that_every_call_repeats_is_shown_once() -> None:
    history: list[dict[str, Any]] = [
        {"role": "system", "content": "You are the hotel's night desk."}
    ]
    spans = []
    for turn in range(5):
        history.append(made.user(f"This is message number {turn} of the guest."))
        reply = made.assistant(f"This is answer number {turn} of the desk.")
        spans.append(made.llm(history, reply))
        history.append(reply)
    text = rendered(made.trace(*spans))
    assert text.count("night desk") == 1
    for turn in range(5):
        assert text.count(f"message number {turn}") == 1
        assert text.count(f"answer number {turn}") == 1


def test_a_second_yes_is_not_taken_for_the_first() -> None:
    whole = [made.user("Delete A?"), made.assistant("Sure?"), made.user("yes")]
    for spans in (
        [
            made.llm([made.user("yes")], made.assistant("Deleted A. And B?")),
            made.llm([made.user("yes")], made.assistant("Deleted B.")),
        ],
        [
            made.llm(whole, made.assistant("Deleted. And B?")),
            made.llm(
                [*whole, made.assistant("Deleted. And B?"), made.user("yes")],
                made.assistant("Deleted B."),
            ),
        ],
    ):
        assert rendered(made.trace(*spans)).count("user: yes") == 2


def test_a_message_sent_again_after_a_failure_is_the_same_message() -> None:
    asked = [made.user("ok"), made.user("go")]
    failed = made.llm(asked, None, status=SpanStatus.ERROR, error="overloaded")
    text = rendered(made.trace(failed, made.llm(asked, made.assistant("Done."))))
    assert text.count("user: ok") == 1
    assert text.count("user: go") == 1


@pytest.mark.parametrize("as_text", [str, lambda text: dumps(made.user(text))])
def test_a_model_call_may_hold_plain_text(as_text: Any) -> None:
    call = made.span(SpanKind.LLM, "complete", input=as_text("Say hi."), output="Hi.")
    text = rendered(made.trace(call, made.span(SpanKind.LLM, "empty", input=" ", output={"n": 1})))
    assert "  user: Say hi." in text
    assert "  assistant: Hi." in text
    assert '  output: {"n":1}' in text


def test_a_long_result_that_comes_twice_is_referred_to() -> None:
    result = {"rows": ["a rather long row of a table"] * 5}
    spans = [made.tool("list_rows", {"page": 1}, result) for _ in range(2)]
    text = rendered(made.trace(*spans))
    assert text.count(dumps(result)) == 1
    assert "result: (same as result in [1])" in text


def test_a_request_that_nothing_carried_out_is_shown_with_its_arguments() -> None:
    text = rendered(
        made.trace(made.llm([made.user("Pay")], made.assistant(None, ("pay", {"eur": 5}))))
    )
    assert 'asks for: pay {"eur":5}' in text


def test_errors_and_unfinished_steps_are_marked() -> None:
    trace = made.trace(
        made.failed_tool("pay", {"eur": 5}, "Error: card declined"),
        made.span(SpanKind.CHAIN, "retry", status=SpanStatus.UNSET, ended_at=None),
        status=TraceStatus.RUNNING,
        ended_at=None,
        output=None,
    )
    text = rendered(trace)
    assert "[1] TOOL pay ERROR 1s" in text
    assert "  error: card declined" in text
    assert "[2] CHAIN retry unfinished" in text
    assert "RUNNING, not finished" in text


def test_cycles_and_missing_parents_survive() -> None:
    a, b, c = (uuid4() for _ in range(3))
    trace = made.trace(
        made.span(SpanKind.CHAIN, "one", id=a, parent_id=b),
        made.span(SpanKind.CHAIN, "two", id=b, parent_id=a),
        made.span(SpanKind.CHAIN, "own", id=c, parent_id=c),
        made.span(SpanKind.CHAIN, "lost", parent_id=uuid4()),
    )
    text = rendered(trace)
    assert all(name in text for name in ("one", "two", "own", "lost"))


def test_depth_is_shown_below_the_first_level() -> None:
    ids = [UUID(int=n) for n in range(1, 5)]
    spans = [
        made.span(SpanKind.CHAIN, f"level {n}", id=id, parent_id=ids[n - 1] if n else None)
        for n, id in enumerate(ids)
    ]
    text = rendered(made.trace(*spans))
    assert "[2] CHAIN level 1" in text
    assert "[3] > CHAIN level 2" in text
    assert "[4] >> CHAIN level 3" in text


def test_tools_on_offer_are_listed_once_with_their_parameters() -> None:
    tools = [
        {"type": "function", "function": {
            "name": "book", "description": "Books a room.",
            "parameters": {"properties": {"room": {"type": "integer"},
                                          "kind": {"enum": ["single", "double"]}},
                           "required": ["room"]}}},
    ]  # fmt: skip
    spans = [
        made.span(SpanKind.LLM, "chat", input={"messages": [made.user(f"Hi {n}")], "tools": tools})
        for n in range(3)
    ]
    text = rendered(made.trace(*spans))
    assert (
        text.count("tool on offer: book(room: integer, kind?: single|double): Books a room.") == 1
    )


def test_a_history_around_model_steps_is_not_shown_again() -> None:
    history = [made.user("Please plan a weekend in Rome."), made.assistant("Gladly, for how many?")]
    trace = made.trace(
        made.span(SpanKind.CHAIN, "graph", input={"messages": history[:1]}, output=history),
        made.llm(history[:1], history[1]),
        made.span(SpanKind.CHAIN, "other", input={"messages": [made.user("Something else.")]}),
        input={"messages": history[:1]},
        output=None,
    )
    text = rendered(trace)
    assert text.count("weekend in Rome") == 1
    assert text.count("for how many") == 1
    assert "  input: (same as user in [2])" in text
    assert "Something else." in text


def test_a_result_that_is_the_error_is_shown_as_the_error() -> None:
    span = made.tool("pay", {}, "card declined", status=SpanStatus.ERROR, error="card declined")
    after = made.llm([{"role": "tool", "content": "card declined"}], made.assistant("Sorry."))
    assert rendered(made.trace(span, after)).count("card declined") == 1


def test_vectors_are_mentioned_not_shown() -> None:
    span = made.span(SpanKind.EMBEDDING, "embed", input=["some words"], output=[[0.25] * 1_000])
    text = rendered(made.trace(span))
    assert '  input: ["some words"]' in text
    assert "  output: (vectors)" in text
    assert "0.25" not in text


def test_ids_and_nulls_are_left_out() -> None:
    trace = made.trace(made.tool("look_up", None, None))
    text = rendered(trace)
    assert str(trace.spans[0].id) not in text
    assert "null" not in text
    assert "None" not in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('{"a" : 12345678901234567890123}', '{"a" : 12345678901234567890123}'),
        ('{ "name": "M\\u00fcller" }', '{"name":"Müller"}'),
        ("{not json}", "{not json}"),
        ("[1,  2]", "[1,2]"),
    ],
)
def test_json_text_is_shortened_only_without_loss(value: str, shown: str) -> None:
    assert f"result: {shown}\n" in rendered(made.trace(made.tool("t", None, value)))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.02, "20ms"), (0.9999, "1s"), (12.34, "12.3s"), (3600, "60min"), (-5, "0s")],
)
def test_durations(seconds: float, shown: str) -> None:
    span = made.tool("t", ended_at=made.START + timedelta(seconds=seconds))
    assert f"[1] TOOL t {shown}" in rendered(made.trace(span))


def test_half_the_size_of_the_indented_json() -> None:
    trace = made.conversation(turns=12)
    indented = trace.model_dump_json(indent=2)
    assert len(rendered(trace)) <= len(indented) / 2


def test_a_reading_renders_once_for_each_budget() -> None:
    reading = Reading(made.conversation())
    assert reading.prompt(1_000) is reading.prompt(1_000)
    assert reading.prompt(1_000) is not reading.prompt(2_000)
