"""Was it done without needless, repeated or wasteful steps?"""

from collections import Counter

from evals.calls import named
from evals.case import TraceCase
from evals.examples import order_trace
from evals.facts import Facts
from evals.metric import Example, Outcome, Scored, Stage, TraceMetric
from evals.prompting import TASK, Task, Verdict
from evals.words import counted


def verdict_rule(facts: Facts) -> Verdict:
    """Calls and replies that repeat an earlier one exactly, or failed, over all of them."""
    said_again = len(facts.replies) - len(set(facts.replies))
    failed = len(facts.failed_calls)
    wasted = facts.wasted_calls + said_again + failed
    steps = len(facts.calls) + len(facts.replies)
    if not steps:
        return Verdict(
            reasoning="There is no step to count.",
            score=0.0,
            reason="The trace shows neither a tool call nor an answer.",
        )
    return Verdict(
        reasoning="Counted from the trace.",
        score=max(0.0, 1.0 - wasted / steps),
        reason=_reason(facts, steps, said_again),
    )


def _reason(facts: Facts, steps: int, said_again: int) -> str:
    found = []
    if facts.repeated_calls:
        found.append(f"{facts.wasted_calls} repeated exactly ({named(facts.repeated_calls)})")
    if facts.failed_calls:
        found.append(f"{len(facts.failed_calls)} failed ({named(facts.failed_calls)})")
    if said_again:
        found.append(f"{said_again} said the same again")
    what = ", ".join(found) or "none failed, was repeated or said the same again"
    return f"Of {steps} tool calls and replies: {what}."


VERDICT = Stage(
    name="verdict",
    answer=Verdict,
    rule=verdict_rule,
    rule_about="1 - (exact repeats of calls + failed calls + replies said before) / "
    "(calls + replies); 0 without any.",
    prompt="""\
Judge whether the agent worked without needless, repeated or wasteful steps.

What the user wanted:
{task}

Counted from the record:
{counted}

- A step is needed if a sensible agent that knew only what was known at that point would take it.
  Judge with that knowledge, not with hindsight: a search that found nothing can be a needed step.
- Waste is: the same call with the same arguments after it succeeded; fetching what is already
  known; going on retrying what cannot work; asking the user for what was said or could be looked
  up; asking one thing at a time where one question would do; detours; work on something nobody
  asked for; actions that had to be undone.
- Confirmations and checks that the agent's own instructions demand are needed steps. So are turns
  that the user brings about by changing the request.
- Several model calls around one tool call are how agents are built, not waste.
- Whether the task succeeded is another metric's question: a quick failure can be efficient, and
  giving up early while something useful could be done is no efficiency, but no waste either.

Anchors:
0    most steps were needless, or the run went round in circles
0.25 about as many wasted steps as useful ones
0.5  a clear detour or several wasted steps, beside a sound core
0.75 one or two small wastes
1    no step could have been left out
""",
)


async def evaluate(case: TraceCase) -> Outcome:
    task = await case.ask(TASK)
    verdict = await case.ask(VERDICT, task=task.task, counted=_counted(case.facts))
    return Scored(verdict.score, verdict.reason, {"task": task.task})


def _counted(facts: Facts) -> str:
    lines = [
        f"{counted(len(facts.trace.spans), 'step')}, {len(facts.failed_spans)} ended in an error",
        f"{counted(len(facts.calls), 'tool call')}, {len(facts.failed_calls)} failed",
        f"{counted(len(facts.replies), 'message')} of the agent",
    ]
    for name, count in Counter(dict(facts.repeats)).most_common(20):
        lines.append(f"{name}: {count} calls with exactly the same arguments")
    return "\n".join(lines)


METRIC = TraceMetric(
    name="step_efficiency",
    about="Was it done without needless, repeated or wasteful steps?",
    formula="the verdict's score",
    outputs={"task": "what the user wanted"},
    stages=(TASK, VERDICT),
    evaluate=evaluate,
    example=Example(
        trace=order_trace(),
        answers={
            "task": Task(
                reasoning="The first message asks for the state of an order.",
                task="Find out where order 4711 is and when it arrives.",
            ),
            "verdict": Verdict(
                reasoning="One look-up in [3], one answer in [4]; neither can be left out.",
                score=1.0,
                reason="One look-up and one answer: no step could have been left out.",
            ),
        },
        expected=1.0,
    ),
)
