"""Did the execution follow the agent's own plan, in order and completely?"""

from evals.case import TraceCase
from evals.compact import compact
from evals.examples import plan_trace
from evals.facts import Facts
from evals.metric import Example, Outcome, Stage, TraceMetric
from evals.prompting import PLAN, TASK, Plan, Task, Verdict, judge_plan, plan_rule
from evals.words import words


def verdict_rule(facts: Facts) -> Verdict:
    """A step counts as followed by the first action after the step before it that shares a word."""
    steps = plan_rule(facts).steps
    if not steps:
        return Verdict(reasoning="No list of steps.", score=0.0, reason="No plan was found.")
    actions = [
        words(f"{call.name.replace('_', ' ')} {compact(call.arguments)}") for call in facts.calls
    ]
    actions += [words(reply) for reply in facts.replies[-1:]]
    at = 0
    followed = 0
    for step in steps:
        wanted = words(step)
        found = next((i for i in range(at, len(actions)) if wanted & actions[i]), None)
        if found is not None:
            followed += 1
            at = found + 1
    return Verdict(
        reasoning="Words of the plan's steps compared with those of the actions, in order.",
        score=followed / len(steps),
        reason=f"{followed} of {len(steps)} planned steps have a matching action, in their order.",
    )


VERDICT = Stage(
    name="verdict",
    answer=Verdict,
    rule=verdict_rule,
    rule_about="Planned steps that share a content word with a tool call or the last answer, in "
    "the plan's order / planned steps.",
    prompt="""\
Judge whether the agent did what it had planned.

What the user wanted:
{task}

The plan:
{plan}

Go through the plan step by step: find where the record shows it carried out, and note what was
left out, done in another order, done differently, or done without having been planned.

- A step counts as followed where it was carried out in substance, even in other words or with
  another fitting tool; announcing it is not carrying it out.
- A departure is right where something new forced it (an error, a finding, a changed wish) and the
  agent acted on that: it costs nothing if the agent said so, little if it did not.
- A step that had become pointless may be left out. Small actions that serve a planned step belong
  to it.
- Judge against the plan, good or bad. Whether the plan was wise and whether the task was
  accomplished are other metrics' questions.

Anchors:
0    the plan was abandoned or contradicted without a cause
0.25 a step or two was followed, most was not
0.5  the main steps were followed; an important one was left out, or the order was broken, without
     cause
0.75 all important steps were followed; small unexplained departures
1    every step was followed in order, or departed from for a cause the record shows
""",
)


async def evaluate(case: TraceCase) -> Outcome:
    return await judge_plan(case, VERDICT)


METRIC = TraceMetric(
    name="plan_adherence",
    about="Did the execution follow the agent's own plan, in order and completely?",
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
                reasoning="Step 3 looks the order up, step 4 cancels it: both planned, in order.",
                score=1.0,
                reason="Both planned steps were carried out in order, in [3] and [4].",
            ),
        },
        expected=1.0,
    ),
)
