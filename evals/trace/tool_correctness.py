"""Were the right tools chosen: none wrong, missing or needless?"""

from collections import Counter

from pydantic import JsonValue

from evals.calls import named
from evals.case import TraceCase
from evals.examples import order_trace
from evals.facts import Facts
from evals.metric import Example, NotApplicable, Outcome, Scored, Stage, TraceMetric
from evals.prompting import TASK, Task, Verdict
from evals.words import counted

_LISTED = 200


def verdict_rule(facts: Facts) -> Verdict:
    """The share of calls that were on offer and not an exact repeat of one that had gone well."""
    if not facts.calls:
        return Verdict(
            reasoning="Tools were on offer and none was called.",
            score=0.5,
            reason="No tool was called; whether one was needed takes reading to tell.",
        )
    offered = {tool.name for tool in facts.tools}
    unknown = [call for call in facts.calls if offered and call.name not in offered]
    wrong = len(unknown) + 0.5 * facts.wasted_calls + 0.5 * len(facts.failed_calls)
    found = [
        f"{len(calls)} {what} ({named(calls)})"
        for calls, what in (
            (unknown, "not on offer"),
            (facts.repeated_calls, "repeated exactly"),
            (facts.failed_calls, "failed"),
        )
        if calls
    ]
    what = ", ".join(found) or "none failed, was repeated or was not on offer"
    return Verdict(
        reasoning="Counted from the trace.",
        score=max(0.0, 1.0 - wrong / len(facts.calls)),
        reason=f"Of {counted(len(facts.calls), 'tool call')}: {what}.",
    )


VERDICT = Stage(
    name="verdict",
    answer=Verdict,
    rule=verdict_rule,
    rule_about="1 - (calls to tools not on offer + half of the exact repeats and of the failed "
    "calls) / calls; 0.5 where no tool was called.",
    prompt="""\
Judge whether the agent chose the right tools.

What the user wanted:
{task}

The tools it called, counted from the record, in order:
{called}

The tools it had on offer, as far as the record says:
{offered}

- Ask for each call whether this tool was the fitting one at that point, given what was known
  then.
- Ask for each need of the task whether the tool that serves it was called. A missing call weighs
  most where the agent answered from nothing, or claimed an action that no call carried out.
- A needless call is one whose result could not change what came next: a repeat of a call that had
  succeeded, a look-up of something already known, an action nobody asked for. A wrong action that
  changes something weighs far more than a needless look-up.
- Judge the choice of tool only: whether its arguments were right, whether the tool itself failed
  and how the agent dealt with that are other metrics' questions. One retry of a failed call is no
  fault.
- Calling no tool is right where the task needs none, or where the agent's instructions forbid the
  action.
- Where no list of tools is known, judge by what the record shows and assume nothing that the
  agent gave no sign of having.

Anchors:
0    the tools called do not serve the task, or none was called where one was plainly needed
0.25 a needed tool is missing or a wrong one was used, so the main need was not served
0.5  the main need was served; a needed call is missing, or there are several wrong or needless
     ones
0.75 all needs were served; a call or two was needless
1    every needed tool was called, none wrongly, none needlessly
""",
)


async def evaluate(case: TraceCase) -> Outcome:
    facts = case.facts
    called = [call.name for call in facts.calls]
    offered = [tool.name for tool in facts.tools]
    if not called and not offered:
        return NotApplicable("The trace shows no tool call and no tool on offer.")
    task = await case.ask(TASK)
    verdict = await case.ask(
        VERDICT,
        task=task.task,
        called=_counted(facts),
        offered=", ".join(offered[:_LISTED]) or "not recorded",
    )
    details: dict[str, JsonValue] = {
        "user_input": facts.request,
        "tools_called": [*called[:_LISTED]],
        "available_tools": [*offered[:_LISTED]],
    }
    return Scored(verdict.score, verdict.reason, details)


def _counted(facts: Facts) -> str:
    """Each call as `[step] tool`, and what counting shows about them."""
    if not facts.calls:
        return "none"
    lines = [", ".join(f"[{call.step}] {call.name}" for call in facts.calls[:_LISTED])]
    if len(facts.calls) > _LISTED:
        lines.append(f"and {len(facts.calls) - _LISTED} more")
    if facts.repeats:
        repeated = Counter(dict(facts.repeats)).most_common(20)
        told = ", ".join(f"{name} {count} times" for name, count in repeated)
        lines.append(f"Called again with exactly the same arguments: {told}")
    if facts.failed_calls:
        told = ", ".join(f"[{call.step}] {call.name}" for call in facts.failed_calls[:50])
        lines.append(f"Ended in an error: {told}")
    return "\n".join(lines)


METRIC = TraceMetric(
    name="tool_correctness",
    about="Were the right tools chosen: none wrong, missing or needless?",
    formula="the verdict's score; not applicable with no tool call and no tool on offer",
    outputs={
        "user_input": "the user's first message",
        "tools_called": "names of the tools called, in order",
        "available_tools": "names of the tools on offer, as far as the trace says",
    },
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
                reasoning="find_order in [3] is the tool for it; nothing else was needed.",
                score=1.0,
                reason="find_order in [3] served the whole question and nothing else was called.",
            ),
        },
        expected=1.0,
    ),
)
