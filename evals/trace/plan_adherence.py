"""Did the execution follow the plan?"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from evals.findings import AsListed, Item, Steps
from evals.metric import Example, JudgedMetric, NotApplicable, Outcome, Scored
from evals.plans import NO_PLAN, WHAT_IS_A_PLAN, judged_plan, planned_steps
from evals.sample_traces import plan_trace
from evals.tool_findings import reason_of
from evals.transcript.compact_json import compact
from evals.transcript.facts import Facts
from evals.transcript.phrases import counted, words

ItemVerdict = Literal[
    "done", "done out of order", "changed with a reason", "skipped", "cannot tell"
]


class FollowedItem(Item):
    what: str = Field(description="The planned action, in the agent's words, shortened.")
    found: str = Field(default="", description="What the record shows about its execution.")
    steps: Steps = Field(default_factory=list)
    verdict: Annotated[ItemVerdict, AsListed] = Field(
        description="done: carried out in substance, at its place. done out of order: carried out "
        "before or after its place. changed with a reason: replaced or dropped because of an "
        "error, a finding or a new wish. skipped: not carried out, without such a reason."
    )


class UnplannedAction(Item):
    what: str = Field(description="An action that serves no item of the plan.")
    steps: Steps = Field(default_factory=list)


class Adherence(BaseModel):
    items: list[FollowedItem] = Field(description="The plan's items in order; empty without one.")
    unplanned: list[UnplannedAction] = Field(
        description="Actions outside the plan for which nothing new gave a reason. Often none."
    )


_CREDIT = {"done": 1.0, "changed with a reason": 1.0, "done out of order": 0.5, "skipped": 0.0}


def score(answer: Adherence, _: Facts) -> Outcome:
    if not answer.items:
        return NotApplicable(NO_PLAN)
    plan = judged_plan(
        [(f"{one.what} {one.found}".strip(), one.verdict, one.steps) for one in answer.items],
        [(one.what, one.steps) for one in answer.unplanned],
        kind="unplanned",
        credit=_CREDIT,
    )
    if not plan.parts:
        return NotApplicable(
            "The record does not tell how any planned item went.", {}, plan.findings
        )
    followed = sum(one.verdict in ("done", "changed with a reason") for one in plan.items)
    figure = f"{followed} of {counted(plan.decided, 'planned item')} followed"
    if answer.unplanned:
        figure += f", {counted(len(answer.unplanned), 'action')} unplanned"
    good = ("done", "changed with a reason", "cannot tell")
    faults = [one for one in plan.findings if one.verdict not in good]
    return Scored(plan.earned, reason_of(figure, faults), findings=plan.findings)


def adherence_rule(facts: Facts) -> Adherence:
    """Matches items in order.

    An item counts as done by the first later action that shares a word with it.
    """
    actions = [
        (call.step, words(f"{call.name.replace('_', ' ')} {compact(call.arguments)[:2_000]}"))
        for call in facts.calls
    ]
    actions += [(0, words(reply[:2_000])) for reply in facts.replies[-1:]]
    at = 0
    items: list[FollowedItem] = []
    for text in planned_steps(facts):
        wanted = words(text)
        match = next((i for i in range(at, len(actions)) if wanted & actions[i][1]), None)
        if match is None:
            items.append(FollowedItem(what=text, verdict="skipped"))
        else:
            step = actions[match][0]
            items.append(FollowedItem(what=text, steps=[step] if step else [], verdict="done"))
            at = match + 1
    return Adherence(items=items, unplanned=[])


QUESTION = f"""\
Did the execution follow the agent's own plan?

{WHAT_IS_A_PLAN}
Go through the plan item by item and find where the record shows it carried out.

- done: carried out in substance, even in other words or with another fitting tool. Announcing an
  action is not carrying it out.
- done out of order: carried out, but not at its place, without a reason on record.
- changed with a reason: replaced, delayed or dropped because something new forced it (an error, a
  finding, a changed wish) or because it had become pointless.
- skipped: not carried out, and nothing on record explains why.
- unplanned: an action that serves no item and that nothing new called for. Small actions that
  serve a planned item belong to it, and so do confirmations that the instructions demand.
- Judge against the plan, good or bad. Whether it was wise and whether the task was accomplished
  are other questions.
"""

METRIC = JudgedMetric(
    name="plan_adherence",
    about="Did the execution follow the plan?",
    formula="(done + changed with a reason + ½ × done out of order) / (decided items + unplanned "
    "actions), items with the verdict `cannot tell` left out; not applicable without a plan, "
    "declared or implied",
    outputs={},
    threshold=0.7,
    threshold_reason="an agent that omits three in ten announced actions is not reliable",
    question=QUESTION,
    answer=Adherence,
    score=score,
    rule=adherence_rule,
    rule_about="the items are those of plan_quality's rule; an item is done if it shares a content "
    "word with a tool call or the last answer, in the plan's order; all other items are skipped",
    tokens=700,
    example=Example(
        trace=plan_trace(),
        answer=Adherence(
            items=[
                FollowedItem(
                    what="Look up order 4711.",
                    found="find_order was called.",
                    steps=[3],
                    verdict="done",
                ),
                FollowedItem(
                    what="Cancel it if it has not been sent.",
                    found="It was packed, not sent, and cancel_order succeeded.",
                    steps=[4],
                    verdict="done",
                ),
            ],
            unplanned=[],
        ),
        expected=1.0,
    ),
)
