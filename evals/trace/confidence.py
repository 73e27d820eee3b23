"""Did the agent act decisively and on good grounds?"""

from evals.calls import named
from evals.case import TraceCase
from evals.examples import order_trace
from evals.facts import Facts
from evals.metric import Example, Outcome, Scored, Stage, TraceMetric
from evals.prompting import Verdict
from evals.words import hedges, revises


def verdict_rule(facts: Facts) -> Verdict:
    """Counts the marks that doubt leaves: hedges, corrections, repeats, failures."""
    if not facts.replies and not facts.calls:
        return Verdict(
            reasoning="There is nothing to count.",
            score=0.0,
            reason="The agent neither said nor did anything.",
        )
    hedged = sum(map(hedges, facts.replies))
    revised = sum(map(revises, facts.replies))
    failed = len(facts.failed_calls)
    marks = 0.5 * hedged + 2.0 * revised + 1.0 * facts.wasted_calls + 1.0 * failed
    score = max(0.0, 1.0 - marks / max(4, len(facts.replies) + len(facts.calls)))
    if facts.failed or facts.unfinished:
        score = min(score, 0.25)
    return Verdict(
        reasoning="Counted from the trace.",
        score=score,
        reason=f"In {len(facts.replies)} replies and {len(facts.calls)} tool calls: "
        f"{_marks(facts, hedged, revised)}.",
    )


def _marks(facts: Facts, hedged: int, revised: int) -> str:
    found = [
        told
        for count, told in (
            (hedged, f"hedging phrases: {hedged}"),
            (revised, f"corrections of itself: {revised}"),
            (facts.wasted_calls, f"calls repeated exactly ({named(facts.repeated_calls)})"),
            (len(facts.failed_calls), f"failed calls ({named(facts.failed_calls)})"),
        )
        if count
    ]
    return ", ".join(found) or "no sign of doubt"


VERDICT = Stage(
    name="verdict",
    answer=Verdict,
    rule=verdict_rule,
    rule_about="1 - (hedging phrases / 2 + 2 x corrections of itself + exact repeats + failed "
    "calls) / (calls + replies, at least 4); at most 0.25 for a trace that failed or did "
    "not finish.",
    prompt="""\
Judge whether the agent acted decisively and on good grounds.

Counted from the record:
{counted}

Confidence shows in what the agent does and says, not in a tone of certainty.

- It costs confidence: hedging where the record held the answer; contradicting itself; taking back
  or correcting what it had stated; asking again for what it was told; repeating a call or a
  question in the hope of another result; trying one thing, dropping it without a cause and trying
  another; handing over or giving up where it could have acted.
- Boldness without grounds costs as much: stating as fact what nothing in the record bears out,
  promising what it cannot do, acting on a guess where it should have looked or asked.
- It costs nothing: a question about what only the user can know; a confirmation that the agent's
  instructions demand; naming a real limit or a real uncertainty plainly; changing course because
  of an error, a finding or a new wish, when the new course fits it.
- Whether the task was accomplished is another metric's question.

Anchors:
0    lost: contradicts itself, goes in circles, or invents throughout
0.25 mostly unsure or ungrounded, with few firm steps
0.5  firm in part; a reversal, an unfounded claim or repeated hedging in a matter that counts
0.75 firm and grounded; one needless hedge, repeat or check
1    every step and statement is firm and borne out by what the agent knew
""",
)


async def evaluate(case: TraceCase) -> Outcome:
    verdict = await case.ask(VERDICT, counted=_counted(case.facts))
    return Scored(verdict.score, verdict.reason)


def _counted(facts: Facts) -> str:
    failed = ", ".join(f"[{call.step}]" for call in facts.failed_calls[:30]) or "none"
    repeats = ", ".join(f"{name} {count} times" for name, count in facts.repeats[:20]) or "none"
    return (
        f"tool calls: {len(facts.calls)}\nfailed calls: {failed}\n"
        f"called again with exactly the same arguments: {repeats}"
    )


METRIC = TraceMetric(
    name="confidence",
    about="Did the agent act decisively and on good grounds, without hedging, contradiction, "
    "needless retries or abandoned strategies?",
    formula="the verdict's score",
    outputs={},
    stages=(VERDICT,),
    evaluate=evaluate,
    example=Example(
        trace=order_trace(),
        answers={
            "verdict": Verdict(
                reasoning="It looked the order up in [3] and stated in [4] just what it found.",
                score=1.0,
                reason="The statement in [4] is firm and borne out by the look-up in [3].",
            ),
        },
        expected=1.0,
    ),
)
