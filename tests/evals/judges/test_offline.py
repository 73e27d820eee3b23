"""The offline rules, tested with traces that differ in one property."""

from typing import Any

import pytest

from core.ids import TraceStatus
from core.trace_model import Trace
from evals import catalog
from evals.evaluation import evaluate
from evals.judges.offline import RulesJudge
from evals.metric import NotApplicable, Scored
from tests.evals import made
from tests.fakes import FakeEmbedder


async def score(name: str, trace: Trace) -> float:
    metric = catalog.trace_metric(name)
    outcome = (await evaluate(metric, trace, RulesJudge(), FakeEmbedder())).outcome
    assert isinstance(outcome, Scored), outcome.reason
    return outcome.value


BOOK = made.tool("book_room", {"room": 12}, "ok")
SMOOTH = made.trace(BOOK)
REFUSED = {"output": "Unfortunately I cannot book room 12."}
WITH_RULES = made.llm([{"role": "system", "content": "Book no rooms."}], made.assistant("Hello"))


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (SMOOTH, made.trace(BOOK, status=TraceStatus.ERROR)),
        (SMOOTH, made.trace(BOOK, output=None)),
        (SMOOTH, made.trace(BOOK, status=TraceStatus.RUNNING)),
        (SMOOTH, made.trace(BOOK, made.failed_tool("pay"))),
        (SMOOTH, made.trace(BOOK, BOOK)),
        (SMOOTH, made.trace(BOOK, **REFUSED)),
        (SMOOTH, made.trace(BOOK, output="Lovely weather today!")),
        (made.trace(BOOK, WITH_RULES, **REFUSED), made.trace(BOOK, **REFUSED)),
    ],
)
async def test_task_completion(better: Trace, worse: Trace) -> None:
    assert await score("task_completion", better) > await score("task_completion", worse)


@pytest.mark.parametrize("name", ["tool_correctness", "step_efficiency", "confidence"])
@pytest.mark.parametrize("spoiled", [made.failed_tool("pay"), BOOK])
async def test_failed_and_repeated_calls_cost(name: str, spoiled: Any) -> None:
    assert await score(name, made.trace(BOOK, spoiled)) < await score(name, SMOOTH)


@pytest.mark.parametrize(
    "name", ["task_completion", "tool_correctness", "step_efficiency", "confidence"]
)
async def test_reasons_name_the_steps_that_cost(name: str) -> None:
    metric = catalog.trace_metric(name)
    trace = made.trace(BOOK, BOOK, made.failed_tool("pay"))
    reason = (await evaluate(metric, trace, RulesJudge(), FakeEmbedder())).outcome.reason
    assert "[3] " in reason
    assert "book_room" in reason
    assert "[4] " in reason
    assert "pay" in reason


async def test_saying_the_same_again_is_a_wasted_step() -> None:
    said = [made.llm([made.user(f"Ask {n}")], made.assistant("One moment.")) for n in range(2)]
    trace = made.trace(*said, output="One moment.")
    metric = catalog.trace_metric("step_efficiency")
    outcome = (await evaluate(metric, trace, RulesJudge(), FakeEmbedder())).outcome
    assert isinstance(outcome, Scored)
    assert outcome.value == 0.5
    assert "[5] repeat: It says the same again." in outcome.reason


async def test_whether_a_tool_was_needed_is_left_open() -> None:
    metric = catalog.trace_metric("tool_correctness")
    trace = made.trace(metadata={"tools": ["book_room"]})
    outcome = (await evaluate(metric, trace, RulesJudge(), FakeEmbedder())).outcome
    assert isinstance(outcome, NotApplicable)


async def test_a_tool_that_was_not_on_offer_is_a_wrong_one() -> None:
    trace = made.trace(BOOK, metadata={"tools": ["cancel_room"]})
    assert await score("tool_correctness", trace) == 0.0


async def test_hedging_and_corrections_cost_confidence() -> None:
    firm = made.trace(BOOK, output="Room 12 is booked.")
    unsure = made.trace(BOOK, output="I think room 12 might be booked, but I'm not sure.")
    revised = made.trace(BOOK, output="I was wrong, room 13 is booked.")
    assert await score("confidence", firm) > await score("confidence", unsure)
    assert await score("confidence", firm) > await score("confidence", revised)


BOOKING = [
    {
        "name": "book_room",
        "parameters": {"properties": {"room": {}, "day": {}}, "required": ["room"]},
    }
]


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ({"room": 12}, True),
        ({"room": 12, "day": "Monday"}, True),
        ({"day": "Monday"}, False),
        ({"room": 12, "guests": 2}, False),
        ({"room": "AB12CD"}, False),
        ({"room": "QX77"}, True),
    ],
)
async def test_arguments_must_be_known_needed_and_seen_before(arguments: Any, right: bool) -> None:
    trace = made.trace(
        made.llm([made.user("Book room QX77.")], made.assistant("One moment.")),
        made.tool("book_room", arguments, "ok"),
        metadata={"tools": BOOKING},
    )
    assert await score("argument_correctness", trace) == (1.0 if right else 0.0)


PLAN = "My plan:\n1. Look up room 12.\n2. Book room 12 for Monday."


async def test_a_plan_is_judged_by_what_it_covers_and_followed_in_order() -> None:
    def planned(text: str, *spans: Any) -> Trace:
        return made.trace(
            made.llm([made.user("Book room 12 for Monday.")], made.assistant(text)), *spans
        )

    look, book = made.tool("look_up_room", {"room": 12}), made.tool("book_room", {"room": 12})
    vague = "My plan:\n1. Think.\n2. Act."
    assert await score("plan_quality", planned(PLAN)) > await score("plan_quality", planned(vague))
    followed = await score("plan_adherence", planned(PLAN, look, book))
    assert followed == 1.0
    assert await score("plan_adherence", made.trace(*planned(PLAN).spans, output="Bye.")) < followed


async def test_without_a_list_of_steps_there_is_no_plan() -> None:
    metric = catalog.trace_metric("plan_quality")
    evaluation = await evaluate(metric, SMOOTH, RulesJudge(), FakeEmbedder())
    assert isinstance(evaluation.outcome, NotApplicable)
