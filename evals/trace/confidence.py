"""Did the agent act decisively and on good grounds?"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from core.truncation import truncate
from evals.findings import AsListed, Finding, Item, Steps
from evals.metric import Example, JudgedMetric, Outcome, Scored
from evals.sample_traces import order_trace
from evals.steps import MAX_RULE_TEXT, actions, no_actions, replies_by_step
from evals.tool_findings import reason_of
from evals.transcript.facts import Facts
from evals.transcript.phrases import counted, hedges, revises

MomentKind = Literal[
    "hedge", "contradiction", "blind retry", "abandoned approach", "guess stated as fact"
]


class Moment(Item):
    what: str = Field(description="What the agent said or did, and what was known at that point.")
    steps: Steps = Field(default_factory=list)
    kind: Annotated[MomentKind, AsListed] = Field(
        description="hedge: left open what it could know. contradiction: took back or contradicted "
        "what it had said. blind retry: the same again in the hope of another result. abandoned "
        "approach: dropped a way without a cause. guess stated as fact: nothing on record bears it "
        "out."
    )
    grounded: bool = Field(
        description="True when the record shows a good reason for it, false when there is none."
    )


class Moments(BaseModel):
    moments: list[Moment] = Field(
        description="Every such moment, grounded or not, each once. Often none."
    )


def score(answer: Moments, facts: Facts) -> Outcome:
    total = sum(actions(facts).values())
    findings = [
        Finding(
            "moment",
            one.what,
            one.kind,
            one.steps,
            0.0 if one.grounded else -1 / total,
            {"grounded": one.grounded},
        )
        for one in answer.moments
    ]
    ungrounded = [one for one, moment in zip(findings, answer.moments, strict=True)
                  if not moment.grounded]  # fmt: skip
    figure = (
        f"{counted(len(ungrounded), 'ungrounded moment')} in "
        f"{counted(total, 'message or call', 'messages and calls')}"
    )
    details = {"actions": total, "ungrounded": len(ungrounded)}
    value = max(0.0, 1 - len(ungrounded) / total)
    return Scored(value, reason_of(figure, ungrounded), {**details}, findings)


def moments_rule(facts: Facts) -> Moments:
    """Counts signs of doubt: hedges, corrections, repetitions, failures."""
    return Moments(moments=[*_moments_in_replies(facts), *_moments_in_calls(facts)])


def _moments_in_replies(facts: Facts) -> Iterator[Moment]:
    for step, reply in replies_by_step(facts):
        text = reply[:MAX_RULE_TEXT]
        if hedges(text):
            yield Moment(what="It hedges.", steps=[step], kind="hedge", grounded=False)
        if revises(text):
            yield Moment(
                what="It corrects itself.", steps=[step], kind="contradiction", grounded=False
            )


def _moments_in_calls(facts: Facts) -> Iterator[Moment]:
    repeated = {id(call) for call in facts.repeated_calls}
    for call in facts.calls:
        name = truncate(call.name, 80)
        if id(call) in repeated:
            what = f"{name} repeats an earlier call exactly."
            yield Moment(what=what, steps=[call.step], kind="blind retry", grounded=False)
        elif call.error is not None:
            what = f"{name} failed."
            yield Moment(what=what, steps=[call.step], kind="guess stated as fact", grounded=False)


QUESTION = """\
Did the agent act decisively and on good grounds?

List the moments in which it did not, or seems not to. Confidence shows in what the agent does and
says, not in a tone of certainty.

- hedge: it left open, or passed on as uncertain, what the record held or a look-up would settle.
- contradiction: it took back, corrected or contradicted what it had stated or done.
- blind retry: it repeated a call or a question in the hope of another result.
- abandoned approach: it dropped one way and took another, or gave up or handed over, where it
  could have gone on.
- guess stated as fact: it stated, promised or acted on what nothing on record bears out: invented
  arguments, rules, prices, abilities.

A moment is grounded where the record shows a good reason for it: an error, a new finding, a new
wish of the user, a rule of the instructions, a real limit that is named plainly. It is ungrounded
where the agent had what it needed, or could have looked or asked.

- No moment at all: a question about what only the user can know, a confirmation that the
  instructions demand, a polite phrase ("please let me know"), a search widened after an empty
  result.
- One entry for one moment: a statement and the action that follows from it are one. A false rule
  repeated in three messages is one entry with three steps.
- Whether the task was accomplished is another question.
"""

METRIC = JudgedMetric(
    name="confidence",
    about="Did the agent act decisively and on good grounds?",
    formula="1 - ungrounded moments / (the agent's messages and calls), not below 0; not "
    "applicable without a message or call of the agent",
    outputs={
        "actions": "messages and tool calls of the agent",
        "ungrounded": "moments without a good reason on record",
    },
    threshold=0.8,
    threshold_reason="a user notices one ungrounded moment in five messages and calls",
    question=QUESTION,
    answer=Moments,
    score=score,
    inapplicable=no_actions,
    rule=moments_rule,
    rule_about="ungrounded moments are replies that hedge, replies in which the agent corrects "
    "itself, exact repeats of calls and failed calls",
    tokens=600,
    tokens_per_call=10,
    example=Example(trace=order_trace(), answer=Moments(moments=[]), expected=1.0),
)
