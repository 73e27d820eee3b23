"""Is the agent's plan complete, ordered and sensible for the task?"""

from evals.case import TraceCase
from evals.examples import plan_trace
from evals.facts import Facts
from evals.metric import Example, Outcome, Stage, TraceMetric
from evals.prompting import PLAN, TASK, Plan, Task, Verdict, judge_plan, plan_rule
from evals.words import words

_ENOUGH_WORDS = 8


def verdict_rule(facts: Facts) -> Verdict:
    """How much of the request the plan mentions, and how much of it is not said twice."""
    steps = plan_rule(facts).steps
    if not steps:
        return Verdict(reasoning="No list of steps.", score=0.0, reason="No plan was found.")
    distinct = len({words(step) for step in steps}) / len(steps)
    wanted = words(facts.request)
    shared = len(wanted & words(" ".join(steps)))
    covered = min(1.0, shared / max(1, min(len(wanted), _ENOUGH_WORDS)))
    return Verdict(
        reasoning="Counted from the plan's words.",
        score=0.5 * distinct + 0.5 * covered,
        reason=f"The plan has {len(steps)} steps, {distinct:.0%} of them distinct, and takes up "
        f"{shared} of the {len(wanted)} content words of the request.",
    )


VERDICT = Stage(
    name="verdict",
    answer=Verdict,
    rule=verdict_rule,
    rule_about="Half the share of distinct steps, half the share of the request's content words "
    "(at most 8 needed) that the plan mentions.",
    prompt="""\
Judge the agent's plan as a plan for this task.

What the user wanted:
{task}

The plan:
{plan}

Judge the plan alone, by what the agent could know when it made it. Whether it was followed, and
how the run ended, are other metrics' questions: a good plan may fail and a bad one may get lucky.

- Complete: does it serve every wish and condition, gather what has to be known first, and include
  the checks and approvals that the agent's instructions demand?
- Ordered: does each step come after what it depends on?
- Feasible: can each step be done with the tools and rights on record?
- Sensible: is each step needed and concrete enough to be carried out, and is there a way out
  where a step is likely to fail? More steps are not better.

Anchors:
0    not a plan for this task, or following it would do harm
0.25 touches the task but leaves out its main part, or its order cannot work
0.5  the main line is right; an important step or condition is missing or misplaced
0.75 complete and in order; vague in places or with a needless step
1    nothing to add, to remove or to move
""",
)


async def evaluate(case: TraceCase) -> Outcome:
    return await judge_plan(case, VERDICT)


METRIC = TraceMetric(
    name="plan_quality",
    about="Is the agent's plan complete, ordered and sensible for the task?",
    formula="the verdict's score; not applicable without a plan, declared or implied",
    outputs={"task": "what the user wanted", "plan": "the plan's steps in order"},
    stages=(PLAN, TASK, VERDICT),
    evaluate=evaluate,
    example=Example(
        trace=plan_trace(),
        answers={
            "task": Task(
                reasoning="One wish, one condition.",
                task="Cancel order 4711 if it has not been sent yet.",
            ),
            "plan": Plan(
                reasoning="Step 2 lists what it will do.",
                declared=True,
                steps=["Look up order 4711.", "Cancel it if it has not been sent."],
            ),
            "verdict": Verdict(
                reasoning="The look-up serves the condition; telling the user is not planned.",
                score=0.75,
                reason="The plan in [2] checks the condition first, but does not say what to do if "
                "the order has been sent.",
            ),
        },
        expected=0.75,
    ),
)
