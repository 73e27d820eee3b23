"""Did the agent accomplish what the user asked?"""

from pydantic import BaseModel, Field

from evals.calls import named
from evals.case import TraceCase
from evals.examples import order_trace
from evals.facts import Facts
from evals.metric import Example, Outcome, Scored, Stage, TraceMetric
from evals.prompting import TASK, Task, Verdict
from evals.words import counted, refuses, shortened, words


class Result(BaseModel):
    reasoning: str = Field(description="Which steps prove what happened, by number.")
    outcome: str = Field(description="What the run actually achieved, fact by fact.")


def result_rule(facts: Facts) -> Result:
    failed = len(facts.failed_calls)
    counted = f"{len(facts.calls)} tool calls, {failed} of them failed."
    said = f"Last answer: {shortened(facts.answer, 400)}" if facts.answer else "No answer."
    return Result(reasoning="Counted and quoted from the trace.", outcome=f"{counted} {said}")


# What one more action leaves of the chance that all went well, by kind: round numbers, chosen by
# what they mean while looking at how labelled airline conversations went. Not a blind guess.
_ANSWERED = 0.9
_CALL = 0.9
_FAILED_OR_REPEATED = 0.8
_REFUSED_UNBIDDEN = 0.5
_OFF_TOPIC = 0.5
_UNFINISHED = 0.25
_FEW_WORDS = 3


def verdict_rule(facts: Facts) -> Verdict:
    """A chain is as good as its links: every call can go wrong, a failed one more so."""
    if facts.failed or not facts.answer:
        what = "ended in an error" if facts.failed else "has no answer to the user"
        return Verdict(
            reasoning="Nothing can have been accomplished.", score=0.0, reason=f"The trace {what}."
        )
    failed, wasted = len(facts.failed_calls), facts.wasted_calls
    score = _ANSWERED * _CALL ** len(facts.calls) * _FAILED_OR_REPEATED ** (failed + wasted)
    notes: list[str] = []
    if failed:
        notes.append(f"{failed} failed ({named(facts.failed_calls)})")
    if wasted:
        notes.append(f"{wasted} repeated exactly ({named(facts.repeated_calls)})")
    for applies, factor, note in (
        (facts.unfinished, _UNFINISHED, "the trace is not finished"),
        (_refused_unbidden(facts), _REFUSED_UNBIDDEN, "refused, with no instructions on record"),
        (_off_topic(facts), _OFF_TOPIC, "no word of the request is taken up"),
    ):
        if applies:
            score *= factor
            notes.append(note)
    seen = "; ".join(notes) or "nothing went visibly wrong"
    return Verdict(
        reasoning="Estimated from how long and how smooth the run was.",
        score=score,
        reason=f"Answered after {counted(len(facts.calls), 'tool call')}: {seen}. "
        "Each further step is one more that may have gone wrong.",
    )


def _refused_unbidden(facts: Facts) -> bool:
    """Under instructions a refusal may be the right result; a rule cannot tell."""
    return refuses(facts.answer) and not facts.instructed


def _off_topic(facts: Facts) -> bool:
    wanted = words(facts.request)
    return len(wanted) >= _FEW_WORDS and not wanted & words(" ".join(facts.replies))


OUTCOME = Stage(
    name="outcome",
    answer=Result,
    rule=result_rule,
    rule_about="The number of tool calls and of failed ones, and the last answer.",
    prompt="""\
State what this run actually achieved, as an auditor would: facts only, no praise, no verdict.

- An action counts as done only where a step shows it succeed: a tool result without an error, a
  changed state, an answer that was really given to the user. Name the step.
- What the agent merely said it did, will do or would do is a claim. Where no step bears it out,
  write "claimed, not done". Compare what it told the user with what the tools returned and report
  every difference: other amounts, dates, items, conditions.
- Report what went wrong or stayed open: errors, refusals and the ground given for them,
  hand-overs, questions the user never got answered, actions nobody asked for, actions taken
  without an approval that the agent's instructions demand.
- Give the final state, not the story: where something was done and undone, say what stands.
""",
)

VERDICT = Stage(
    name="verdict",
    answer=Verdict,
    rule=verdict_rule,
    rule_about="0 for a trace that failed or has no answer; else 0.9 x 0.9 for each tool call x "
    "0.8 for each failed call and each exact repeat, halved for a refusal that no instructions on "
    "record can have asked for, halved when no content word of the request is taken up, quartered "
    "when the trace is not finished.",
    prompt="""\
Judge whether the agent accomplished what the user wanted.

What the user wanted:
{task}

What the run achieved:
{outcome}

Compare the two, wish by wish, and check against the record wherever they leave a doubt.

- Weigh what was done, not how hard the agent tried or how well it wrote. How many steps it took
  does not matter here.
- Wrong details defeat a wish: another date, item, amount or recipient than asked is not done.
- A claim that no step bears out counts as not done, and telling the user otherwise makes it
  worse.
- An action the user did not want, or one that the agent's instructions forbid, counts against the
  score even where the rest was done.
- A refusal is the right result only where the agent's own instructions or the facts in the record
  demand it, and the user was told so truthfully and offered what was possible. Then it counts as
  done.
- Handing over to a person counts as done only where the instructions call for it at that point.
- A user who stops answering, thanks or gives up proves nothing by itself.

Anchors:
0    nothing of what was wanted was achieved, or the opposite, or harm was done
0.25 something useful, but the main wish was not met
0.5  the main wish was met in part, or met with a wrong detail that needs repair
0.75 the main wish was met; a lesser wish or condition was missed
1    everything wanted was achieved as asked, or rightly refused, and the user was told truthfully
""",
)


async def evaluate(case: TraceCase) -> Outcome:
    task = await case.ask(TASK)
    result = await case.ask(OUTCOME)
    verdict = await case.ask(VERDICT, task=task.task, outcome=result.outcome)
    return Scored(verdict.score, verdict.reason, {"task": task.task, "outcome": result.outcome})


METRIC = TraceMetric(
    name="task_completion",
    about="Did the agent accomplish what the user asked?",
    formula="the verdict's score",
    outputs={
        "task": "what the user wanted",
        "outcome": "what the run actually achieved",
    },
    stages=(TASK, OUTCOME, VERDICT),
    evaluate=evaluate,
    example=Example(
        trace=order_trace(),
        answers={
            "task": Task(
                reasoning="The first message asks for the state of an order.",
                task="Find out where order 4711 is and when it arrives.",
            ),
            "outcome": Result(
                reasoning="Step 3 finds the order; step 4 reports it.",
                outcome="The order was found out for delivery [3] and the user was told so [4].",
            ),
            "verdict": Verdict(
                reasoning="Place and day of arrival were both given, and step 3 bears them out.",
                score=1.0,
                reason="The answer in [4] gives state and arrival as find_order reported them.",
            ),
        },
        expected=1.0,
    ),
)
