from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.ids import SpanKind, SpanStatus, TraceStatus
from core.json_codec import dumps
from core.trace_model import Trace
from evals.transcript.transcript import Transcript
from tests.evals import made


def rendered(trace: Trace, budget: int = 100_000) -> str:
    text = Transcript(trace).prompt(budget).text
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
        "Trace COMPLETED, 3s, 6 steps | support-agent",
        "[1] AGENT | shop",
        "[2] SYSTEM",
        "  | Help customers.",
        "  | Be brief.",
        "[3] USER",
        f"  | {request}",
        "[4] LLM -> [5] | chat small-model",
        "[5] TOOL | find_order",
        '  arguments | {"order":7}',
        '  result | {"state":"sent","eta":null}',
        "[6] LLM",
        f"  assistant | {answer}",
        "End: The trace was completed. The last message to the user is in [6].",
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
        assert rendered(made.trace(*spans)).count("USER\n  | yes") == 2


def test_a_message_sent_again_after_a_failure_is_the_same_message() -> None:
    asked = [made.user("ok"), made.user("go")]
    failed = made.llm(asked, None, status=SpanStatus.ERROR, error="overloaded")
    text = rendered(made.trace(failed, made.llm(asked, made.assistant("Done."))))
    assert text.count("  | ok") == 1
    assert text.count("  | go") == 1


@pytest.mark.parametrize("as_text", [str, lambda text: dumps(made.user(text))])
def test_a_model_call_may_hold_plain_text(as_text: Any) -> None:
    call = made.span(SpanKind.LLM, "complete", input=as_text("Say hi."), output="Hi.")
    text = rendered(made.trace(call, made.span(SpanKind.LLM, "empty", input=" ", output={"n": 1})))
    assert "USER\n  | Say hi." in text
    assert "  assistant | Hi." in text
    assert '  output | {"n":1}' in text


def test_a_long_result_that_comes_twice_is_referred_to() -> None:
    result = {"rows": "a rather long row of a table " * 5}
    spans = [made.tool("list_rows", {"page": 1}, result) for _ in range(2)]
    text = rendered(made.trace(*spans))
    assert text.count(dumps(result)) == 1
    assert "  result = result of [2]" in text


def test_arguments_stand_at_their_call_however_often_they_repeat() -> None:
    given = {"text": "the same long argument again " * 10}
    text = rendered(made.trace(*(made.tool("send", given, "sent") for _ in range(3))))
    assert text.count(f"  arguments | {dumps(given)}") == 3


def test_a_request_that_nothing_carried_out_is_a_step_with_its_arguments() -> None:
    text = rendered(
        made.trace(made.llm([made.user("Pay")], made.assistant(None, ("pay", {"eur": 5}))))
    )
    assert '[4] TOOL unanswered | pay\n  arguments | {"eur":5}' in text
    assert "The call in [4] has no answer on record." in text


def test_errors_and_unfinished_steps_are_marked() -> None:
    trace = made.trace(
        made.failed_tool("pay", {"eur": 5}, "Error: card declined"),
        made.span(SpanKind.CHAIN, "retry", status=SpanStatus.UNSET, ended_at=None),
        status=TraceStatus.RUNNING,
        ended_at=None,
        output=None,
    )
    text = rendered(trace)
    assert "[2] TOOL ERROR | pay" in text
    assert "  error | card declined" in text
    assert "[3] CHAIN unfinished | retry" in text
    assert "RUNNING, not finished" in text
    assert "End: The trace was still running when it was recorded." in text
    assert "No answer to the user is on record." in text


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
        made.span(SpanKind.CHAIN, f"level {n}", id=span_id, parent_id=ids[n - 1] if n else None)
        for n, span_id in enumerate(ids)
    ]
    text = rendered(made.trace(*spans))
    assert "[3] CHAIN | level 1" in text
    assert "[4] > CHAIN | level 2" in text
    assert "[5] >> CHAIN | level 3" in text


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
    listed = "Tools on offer\n  | book(room: integer, kind?: single|double): Books a room.\n[1] "
    assert text.count(listed) == 1


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
    assert "Something else." in text


def test_a_graph_around_its_steps_repeats_nothing() -> None:
    question, answer = "Which shelf holds part 7?", "It lies on shelf 12."
    asked = made.assistant(None, ("find", {"part": 7}))
    told = {"role": "tool", "content": "{'shelf': 12}"}
    root = uuid4()
    trace = made.trace(
        made.span(SpanKind.CHAIN, "graph", id=root, input={"question": question},
                  output={"messages": [made.user(question), asked, told, made.assistant(answer)],
                          "steps_left": 3}),
        made.llm([made.user(question)], asked, parent_id=root),
        made.tool("find", {"part": 7}, {"shelf": 12}, parent_id=root),
        made.llm([made.user(question), asked, told], made.assistant(answer), parent_id=root),
        input={"question": question},
        output={"answer": answer},
    )  # fmt: skip
    text = rendered(trace)
    assert text.count(question) == 1
    assert text.count(answer) == 1
    assert "[1] CHAIN | graph\n[2] USER" in text


def test_a_result_that_is_the_error_is_shown_as_the_error() -> None:
    span = made.tool("pay", {}, "card declined", status=SpanStatus.ERROR, error="card declined")
    after = made.llm([{"role": "tool", "content": "card declined"}], made.assistant("Sorry."))
    assert rendered(made.trace(span, after)).count("card declined") == 1


def test_vectors_are_mentioned_not_shown() -> None:
    span = made.span(SpanKind.EMBEDDING, "embed", input=["some words"], output=[[0.25] * 1_000])
    text = rendered(made.trace(span))
    assert '  input | ["some words"]' in text
    assert "  output = vectors, not shown" in text
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
    assert f"result | {shown}\n" in rendered(made.trace(made.tool("t", None, value)))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.02, "20ms"), (0.9999, "1s"), (12.34, "12.3s"), (3600, "60min"), (-5, "0s")],
)
def test_durations(seconds: float, shown: str) -> None:
    span = made.tool("t", ended_at=made.START + timedelta(seconds=seconds))
    other = made.tool("other", ended_at=made.START + timedelta(seconds=99))
    assert f"[2] TOOL {shown} | t\n" in rendered(made.trace(span, other))


def test_durations_that_are_all_the_same_are_left_out() -> None:
    root = uuid4()
    around = made.span(SpanKind.AGENT, "all", id=root, ended_at=made.START + timedelta(seconds=9))
    inner = [made.tool("t", {"n": n}, "ok", parent_id=root) for n in range(3)]
    text = rendered(made.trace(around, *inner))
    assert "TOOL | t" in text
    assert "9s" not in text


def test_entries_of_a_long_list_stand_on_lines_of_their_own() -> None:
    flights = [{"flight": f"HAT{n:03}", "price": 100 + n, "seats": [n, n + 1]} for n in range(9)]
    text = rendered(made.trace(made.tool("search", {"to": "IAH"}, {"found": flights, "more": 0})))
    for flight in flights:
        assert f"\n  | {dumps(flight)}" in text
    short = rendered(made.trace(made.tool("search", {"to": "IAH"}, {"found": [1, 2, 3]})))
    assert '  result | {"found":[1,2,3]}' in short


@pytest.mark.parametrize(
    ("spans", "more", "ending"),
    [
        ([made.llm([made.user("Hi")], made.assistant("Hello"))], {"output": "Hello"},
         "The trace was completed. The last message to the user is in [3]."),
        ([made.llm([made.user("Hi")], made.assistant("Wait", ("look", {})))], {"output": "Wait"},
         "The call in [4] has no answer on record. The last message to the user is in [3]; "
         "the call in [4] follows it."),
        ([made.tool("pay", {}, "ok")], {}, "The trace's output is in [3]."),
        ([made.failed_tool("pay")], {"output": None},
         "No answer to the user is on record. Step [2] ended in an error."),
        ([], {"output": None, "status": TraceStatus.ERROR},
         "The trace ended in an error. No answer to the user is on record."),
    ],
)  # fmt: skip
def test_the_end_says_how_the_trace_ended(spans: Any, more: Any, ending: str) -> None:
    text = rendered(made.trace(*spans, **more))
    assert text.split("\n")[-3].startswith("End: ")
    assert ending in text.split("\n")[-3]


def test_half_the_size_of_the_indented_json() -> None:
    trace = made.conversation(turns=12)
    indented = trace.model_dump_json(indent=2)
    assert len(rendered(trace)) <= len(indented) / 2


def test_a_reading_renders_once_for_each_budget() -> None:
    reading = Transcript(made.conversation())
    assert reading.prompt(1_000) is reading.prompt(1_000)
    assert reading.prompt(1_000) is not reading.prompt(2_000)
