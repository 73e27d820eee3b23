"""The formula of each metric: from the findings of an answer to a score."""

import pytest

from evals.trace.argument_correctness import ArgumentCheck, ArgumentChecks
from evals.trace.confidence import Moment, Moments
from evals.trace.plan_adherence import Adherence, FollowedItem, UnplannedAction
from evals.trace.plan_quality import MissingItem, PlanItem, PlanReview
from evals.trace.step_efficiency import Waste, Wastes
from evals.trace.task_completion import Breach, Completion, Untruth
from evals.trace.tool_correctness import MissingCall, ToolChoices
from tests.evals.judging import FOUR, choice, completion, findings_of, judged, value_of, wish


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (completion(wish(), likelihood=1.0), 1.0),
        (completion(wish(), likelihood=0.0), 0.625),
        (completion(wish("missed"), accomplished=False, likelihood=0.0), 0.0),
        (completion(wish(), accomplished=False, likelihood=1.0), 0.4999),
        (completion(wish(), wish("rightly refused"), likelihood=0.8), 0.925),
        (completion(wish(), wish("partly"), likelihood=0.8), 0.8938),
        (completion(wish(), wish("cannot tell"), likelihood=0.8), 0.925),
        (completion(wish(), wish("missed", main=False), likelihood=0.8), 0.925),
        (completion(likelihood=0.8), 0.9),
        (completion(wish("cannot tell"), wish("missed", main=False), likelihood=0.8), 0.9),
        (completion(wish("missed", main=False), likelihood=0.8), 0.8),
    ],
)
async def test_task_completion_lies_on_the_side_of_accomplished(
    answer: Completion, value: float
) -> None:
    evaluation = await judged("task_completion", answer)
    assert value_of(evaluation) == pytest.approx(value, abs=1e-4)
    assert evaluation.metadata["success"] is answer.accomplished


async def test_two_wishes_of_three_score_above_none() -> None:
    some = completion(wish(), wish(), wish("missed"), accomplished=False, likelihood=0.2)
    none = completion(*[wish("missed")] * 3, accomplished=False, likelihood=0.2)
    assert value_of(await judged("task_completion", some)) > value_of(
        await judged("task_completion", none)
    )


async def test_lapses_unclear_breaches_and_untruths_cost_nothing_by_themselves() -> None:
    clean = completion(wish())
    breaches = [Breach(what="No confirmation.", effect=e) for e in ("lapse", "unclear")]
    untruths = [Untruth(what="Said 13.", misled=False)]
    marked = completion(wish(), breaches=breaches, untruths=untruths)
    first, second = [await judged("task_completion", one) for one in (clean, marked)]
    assert value_of(first) == value_of(second)
    assert [one["verdict"] for one in findings_of(second)[1:]] == [
        "lapse", "unclear", "no consequence"
    ]  # fmt: skip


async def test_tools_score_right_calls_over_decided_and_missing_ones() -> None:
    answer = ToolChoices(
        calls=[choice(1, "right"), choice(2, "needless"), choice(3, "cannot tell"),
               choice(4, "right")],
        missing=[MissingCall(what="A look-up.", after_step=1)],
    )  # fmt: skip
    evaluation = await judged("tool_correctness", answer, FOUR)
    assert value_of(evaluation) == 0.5
    assert [one["points"] for one in findings_of(evaluation)] == [0.25, 0, 0, 0.25, 0]
    assert findings_of(evaluation)[1]["steps"] == [3]
    assert "[3] book, needless: reason 2" in evaluation.outcome.reason


async def test_a_missing_call_leads_to_the_step_after_which_it_was_due() -> None:
    answer = ToolChoices(
        calls=[choice(n, "right") for n in range(1, 5)],
        missing=[
            MissingCall(what="A look-up.", after_step=3, steps=[1]),
            MissingCall(what="A check.", after_step=99),
            MissingCall(what="A greeting.", after_step=0),
        ],
    )
    evaluation = await judged("tool_correctness", answer, FOUR)
    missing = findings_of(evaluation)[4:]
    assert [one["steps"] for one in missing] == [[3, 1], [], []]
    assert [one.get("after_step") for one in missing] == [3, None, 0]
    assert evaluation.metadata["unknown_steps"] == 1


async def test_arguments_score_the_share_of_decided_calls_that_are_right() -> None:
    answer = ArgumentChecks(
        calls=[
            ArgumentCheck(call=1, verdict="right"),
            ArgumentCheck(call=2, verdict="wrong", argument="room", should_be="13",
                          why="The user said so.", steps=[2]),
            ArgumentCheck(call=3, verdict="cannot tell"),
            ArgumentCheck(call=4, verdict="right"),
        ]
    )  # fmt: skip
    evaluation = await judged("argument_correctness", answer, FOUR)
    assert value_of(evaluation) == pytest.approx(2 / 3, abs=1e-4)
    wrong = findings_of(evaluation)[1]
    assert wrong["text"] == "room should be 13. The user said so."
    assert (wrong["tool"], wrong["argument"], wrong["should_be"]) == ("book", "room", "13")
    assert wrong["steps"] == [3, 2]
    assert wrong["span_ids"] == [str(FOUR.spans[n].id) for n in (1, 0)]


async def test_wasted_actions_are_counted_once_each() -> None:
    answer = Wastes(
        waste=[
            Waste(what="Again.", steps=[2, 3], kind="repeat"),
            Waste(what="And again.", steps=[3], kind="repeat"),
        ]
    )
    trace = FOUR.model_copy(update={"output": None})
    evaluation = await judged("step_efficiency", answer, trace)
    assert value_of(evaluation) == 0.5
    assert [one["points"] for one in findings_of(evaluation)] == [-0.5, 0]


async def test_only_ungrounded_moments_cost_confidence() -> None:
    moments = [
        Moment(what="It hedged.", steps=[1], kind="hedge", grounded=False),
        Moment(what="It changed course.", steps=[2], kind="abandoned approach", grounded=True),
    ]
    trace = FOUR.model_copy(update={"output": None})
    evaluation = await judged("confidence", Moments(moments=moments), trace)
    assert value_of(evaluation) == 0.75
    assert [one["points"] for one in findings_of(evaluation)] == [-0.25, 0]
    many = Moments(moments=moments[:1] * 9)
    assert value_of(await judged("confidence", many, trace)) == 0.0


async def test_a_plan_scores_its_needed_items_over_all_and_the_missing() -> None:
    verdicts = ("needed", "needed", "vague", "cannot tell")
    answer = PlanReview(
        items=[PlanItem(what="One.", verdict=verdict) for verdict in verdicts],
        missing=[MissingItem(what="Two.")],
    )
    evaluation = await judged("plan_quality", answer)
    assert value_of(evaluation) == 0.5
    assert [one["points"] for one in findings_of(evaluation)] == [0.25, 0.25, 0, 0, 0]


async def test_a_plan_followed_out_of_order_counts_half() -> None:
    verdicts = ("done", "changed with a reason", "done out of order", "skipped", "cannot tell")
    answer = Adherence(
        items=[FollowedItem(what="One.", verdict=verdict) for verdict in verdicts],
        unplanned=[UnplannedAction(what="Two.")],
    )
    evaluation = await judged("plan_adherence", answer)
    assert value_of(evaluation) == 0.5
    assert [one["points"] for one in findings_of(evaluation)] == [0.2, 0.2, 0.1, 0, 0, 0]


async def test_unplanned_actions_count_where_no_item_is_decided() -> None:
    answer = Adherence(
        items=[FollowedItem(what="One.", verdict="cannot tell")],
        unplanned=[UnplannedAction(what="Two.")],
    )
    assert value_of(await judged("plan_adherence", answer)) == 0.0
