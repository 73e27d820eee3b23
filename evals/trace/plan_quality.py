"""Is the plan complete, ordered and sensible for the task?"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from evals.findings import AsListed, Item, Steps
from evals.metric import Example, JudgedMetric, NotApplicable, Outcome, Scored
from evals.plans import NO_PLAN, WHAT_IS_A_PLAN, judged_plan, planned_steps
from evals.sample_traces import plan_trace
from evals.tool_findings import reason_of
from evals.transcript.facts import Facts
from evals.transcript.phrases import counted, words

ItemVerdict = Literal["needed", "needless", "vague", "out of order", "cannot tell"]


class PlanItem(Item):
    what: str = Field(description="The planned action, in the agent's words, shortened.")
    why: str = Field(default="", description="What decided it; a few words where it is needed.")
    steps: Steps = Field(default_factory=list)
    verdict: Annotated[ItemVerdict, AsListed] = Field(
        description="needed: serves the task, at the right place, concrete. needless: serves "
        "nothing. vague: not concrete enough to be carried out. out of order: comes before what it "
        "depends on."
    )


class MissingItem(Item):
    what: str = Field(description="What the plan leaves out, and for which wish or rule.")
    steps: Steps = Field(default_factory=list)


class PlanReview(BaseModel):
    items: list[PlanItem] = Field(description="The plan's items in order; empty without a plan.")
    missing: list[MissingItem] = Field(description="What a complete plan would also hold.")


_CREDIT = {"needed": 1.0, "needless": 0.0, "vague": 0.0, "out of order": 0.0}


def score(answer: PlanReview, _: Facts) -> Outcome:
    if not answer.items:
        return NotApplicable(NO_PLAN)
    plan = judged_plan(
        [(f"{one.what} {one.why}".strip(), one.verdict, one.steps) for one in answer.items],
        [(one.what, one.steps) for one in answer.missing],
        kind="missing",
        credit=_CREDIT,
    )
    if not plan.parts:
        return NotApplicable(
            "The record does not tell of any item what it is for.", {}, plan.findings
        )
    needed = sum(one.verdict == "needed" for one in plan.items)
    what = f"{needed} of {counted(plan.decided, 'planned item')} needed and in place"
    if answer.missing:
        what += f", {len(answer.missing)} missing"
    faults = [one for one in plan.findings if one.verdict not in ("needed", "cannot tell")]
    return Scored(plan.earned, reason_of(what, faults), findings=plan.findings)


def review_rule(facts: Facts) -> PlanReview:
    """An item is needed unless it repeats an earlier one.

    A plan that shares no word with the request misses the request.
    """
    seen: set[frozenset[str]] = set()
    items: list[PlanItem] = []
    mentioned: set[str] = set()
    for text in planned_steps(facts):
        said = words(text)
        verdict: ItemVerdict = "needless" if said in seen else "needed"
        items.append(PlanItem(what=text, verdict=verdict))
        seen.add(said)
        mentioned |= said
    wanted = words(facts.request)
    missing = []
    if items and wanted and not wanted & mentioned:
        missing.append(MissingItem(what="No item takes up a word of the request."))
    return PlanReview(items=items, missing=missing)


QUESTION = f"""\
Is the agent's plan complete, ordered and sensible for the task?

{WHAT_IS_A_PLAN}
Judge the plan alone, by what the agent could know when it made it. Whether it was followed, and
how the run ended, are other questions: a good plan may fail and a bad one may get lucky.

- needed: the item serves a wish or a rule, stands after what it depends on, can be carried out
  with the tools and rights on record, and is concrete enough to be done.
- needless: nothing would be lost without it. More items are not better.
- vague: it could mean anything ("handle the request").
- out of order: it comes before what it depends on.
- missing: a wish, a condition, a fact to be found first, a check or approval that the
  instructions demand, which no item covers. A way out is missing only where a step was likely to
  fail.
"""

METRIC = JudgedMetric(
    name="plan_quality",
    about="Is the plan complete, ordered and sensible for the task?",
    formula="items that are needed / (items + missing), items with the verdict `cannot tell` left "
    "out; not applicable without a plan, declared or implied",
    outputs={},
    threshold=0.7,
    threshold_reason="a plan in which three items in ten are wrong or missing must be made again",
    question=QUESTION,
    answer=PlanReview,
    score=score,
    rule=review_rule,
    rule_about="the items are a list of at least two steps in a planning step, in a thought, or "
    "in a message that announces what the agent will do; an item is needless if it has the same "
    "words as an earlier item; an item is missing if no item shares a content word with the "
    "request",
    tokens=700,
    example=Example(
        trace=plan_trace(),
        answer=PlanReview(
            items=[
                PlanItem(
                    what="Look up order 4711.",
                    why="The state decides whether it may be cancelled.",
                    steps=[2],
                    verdict="needed",
                ),
                PlanItem(
                    what="Cancel it if it has not been sent.",
                    why="The wish with its condition.",
                    steps=[2],
                    verdict="needed",
                ),
            ],
            missing=[MissingItem(what="What to tell the user if it has been sent.", steps=[2])],
        ),
        expected=2 / 3,
    ),
)
