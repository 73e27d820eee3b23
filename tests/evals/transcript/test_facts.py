from typing import Any

import pytest

from core.ids import SpanKind, SpanStatus, TraceStatus
from evals.transcript.facts import Facts, plain_text
from tests.evals import made

WEATHER = {"city": "Oslo"}


def called(*spans: Any, **more: Any) -> list[tuple[str, Any]]:
    return [(call.name, call.arguments) for call in Facts(made.trace(*spans, **more)).calls]


def test_a_call_seen_as_request_and_as_span_counts_once() -> None:
    spans = [
        made.llm([made.user("Oslo?")], made.assistant(None, ("weather", '{"city": "Oslo"}'))),
        made.tool("weather", WEATHER, "rain"),
        made.llm(
            [
                made.user("Oslo?"),
                made.assistant(None, ("weather", '{"city": "Oslo"}')),
                {"role": "tool", "content": "rain"},
            ],
            made.assistant("Rain."),
        ),
    ]
    assert called(*spans) == [("weather", WEATHER)]


def test_a_request_counts_on_its_own_where_no_span_carried_it_out() -> None:
    spans = [
        made.llm(
            [made.user("Oslo and Rome?")],
            made.assistant(None, ("weather", WEATHER), ("weather", {"city": "Rome"})),
        ),
        made.tool("weather", WEATHER, "rain"),
    ]
    calls = Facts(made.trace(*spans)).calls
    assert [(call.arguments, call.carried_out) for call in calls] == [
        ({"city": "Rome"}, False),
        (WEATHER, True),
    ]


def test_a_request_takes_its_result_from_the_history() -> None:
    request = {"id": "c1", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    asked = {"role": "assistant", "content": None, "tool_calls": [request]}
    spans = [
        made.llm([made.user("Oslo?")], asked),
        made.llm(
            [made.user("Oslo?"), asked, {"role": "tool", "tool_call_id": "c1", "content": "rain"}],
            made.assistant("Rain."),
        ),
    ]
    (call,) = Facts(made.trace(*spans)).calls
    assert (call.name, call.arguments, call.result, call.carried_out) == (
        "weather", WEATHER, "rain", True,
    )  # fmt: skip


def test_a_span_with_other_arguments_carries_out_the_request_of_its_name() -> None:
    spans = [
        made.llm([made.user("Oslo?")], made.assistant(None, ("weather", {"city": "oslo"}))),
        made.tool("weather", WEATHER, "rain"),
    ]
    assert called(*spans) == [("weather", WEATHER)]


def test_a_request_that_two_answers_repeat_counts_once() -> None:
    asked = {
        "role": "assistant",
        "tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": WEATHER}}],
    }
    assert called(made.llm([], asked), made.llm([], asked)) == [("weather", WEATHER)]


def test_failed_steps_count_tools_and_others() -> None:
    failed = made.span(SpanKind.CHAIN, "route", error="no way")
    assert (
        len(Facts(made.trace(failed, made.failed_tool("pay"), made.tool("ok"))).failed_spans) == 2
    )


def test_an_answer_that_was_only_noted_as_a_message_is_found() -> None:
    facts = Facts(made.trace(made.llm([made.user("Hi")], made.assistant("Hello")), output=None))
    assert facts.answer == "Hello"


def test_two_tracers_around_one_tool_make_one_call() -> None:
    outer = made.tool("weather", WEATHER, "rain")
    assert called(outer, made.tool("weather", WEATHER, "rain", parent_id=outer.id)) == [
        ("weather", WEATHER)
    ]


def test_a_model_span_around_another_asks_only_once() -> None:
    said = made.assistant(None, ("weather", WEATHER))
    outer = made.llm([made.user("Oslo?")], said)
    assert called(outer, made.llm([made.user("Oslo?")], said, parent_id=outer.id)) == [
        ("weather", WEATHER)
    ]


@pytest.mark.parametrize(
    "given",
    [
        WEATHER,
        '{"city": "Oslo"}',
        {"arguments": WEATHER},
        {"args": '{"city": "Oslo"}'},
        {"kwargs": WEATHER},
    ],
)
def test_arguments_are_read_through_their_wrappers(given: Any) -> None:
    assert called(made.tool("weather", given)) == [("weather", WEATHER)]


def test_repeats_are_counted_whatever_the_order_of_their_keys() -> None:
    facts = Facts(
        made.trace(
            made.tool("move", {"a": 1, "b": 2}),
            made.tool("move", '{"b": 2, "a": 1}'),
            made.tool("move", {"a": 1, "b": 3}),
            made.tool("stop"),
        )
    )
    assert facts.repeats == (("move", 2),)
    assert facts.wasted_calls == 1


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"error": "locked", "status": SpanStatus.ERROR}, "locked"),
        ({"output": "no such room", "status": SpanStatus.ERROR}, "no such room"),
        ({"output": "Error: payment declined"}, "Error: payment declined"),
        ({"output": '{"error": "declined"}'}, "declined"),
        ({"output": {"isError": True, "text": "bad"}}, '{"isError":true,"text":"bad"}'),
        ({"output": {"error": None, "rows": 1}}, None),
        ({"output": "Errors were not found."}, None),
        ({"output": None}, None),
    ],
)
def test_what_went_wrong_is_found_where_tools_report_it(
    more: dict[str, Any], error: str | None
) -> None:
    span = made.span(SpanKind.TOOL, "pay", **more)
    (call,) = Facts(made.trace(span)).calls
    assert call.error == error


@pytest.mark.parametrize(
    ("listing", "names"),
    [
        (["book", "cancel"], ["book", "cancel"]),
        ([{"name": "book"}, {"function": {"name": "cancel"}}], ["book", "cancel"]),
        ({"book": "Books a room."}, ["book"]),
        ({"name": "book", "parameters": {"properties": {"room": "integer"}}}, ["book"]),
        ('[{"name": "book", "input_schema": {"properties": {"a": {}}}}]', ["book"]),
        ([None, 3, {"nameless": 1}, ""], []),
        ("book", []),
    ],
)
def test_tools_on_offer_come_in_many_shapes(listing: Any, names: list[str]) -> None:
    facts = Facts(made.trace(metadata={"tools": listing}))
    assert [tool.name for tool in facts.tools] == names


def test_the_conversation_holds_each_message_once() -> None:
    history = [made.user("One"), made.assistant("Two"), made.user("Three")]
    facts = Facts(
        made.trace(
            made.llm(history[:1], history[1]),
            made.llm(history, made.assistant("Four")),
            input="One",
            output="Four",
        )
    )
    assert [message.text for message in facts.messages] == ["One", "Two", "Three", "Four"]
    assert facts.request == "One"
    assert facts.answer == "Four"


def test_without_model_calls_input_and_output_are_the_conversation() -> None:
    facts = Facts(made.trace(input={"question": "When?"}, output={"answer": "Now."}))
    assert [(one.role, one.text) for one in facts.messages] == [
        ("user", "When?"),
        ("assistant", "Now."),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  hello ", "hello"),
        ({"query": "hello", "top_k": 3}, "hello"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, "b"),
        ([{"role": "assistant", "content": "hello"}], "hello"),
        ({"a": 1}, '{"a":1}'),
        (None, ""),
        (0, "0"),
    ],
)
def test_plain_text_of_inputs_and_outputs(value: Any, text: str) -> None:
    assert plain_text(value) == text


def test_a_trace_fails_by_its_status_or_by_its_root() -> None:
    assert Facts(made.trace(status=TraceStatus.ERROR)).failed
    assert Facts(made.trace(made.span(SpanKind.AGENT, status=SpanStatus.ERROR))).failed
    assert not Facts(made.trace(made.failed_tool("pay"))).failed
