"""Could a careful agent have left steps out?"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from core.truncation import truncate
from evals.findings import AsListed, Finding, Item, Steps
from evals.metric import Example, JudgedMetric, Outcome, Scored
from evals.sample_traces import order_trace
from evals.steps import actions, no_actions, replies_by_step, steps_of_actions
from evals.tool_findings import reason_of
from evals.transcript.facts import Facts
from evals.transcript.phrases import counted

WasteKind = Literal["repeat", "already known", "needless question", "detour", "undone later"]


class Waste(Item):
    what: str = Field(description="What was needless, and by what the agent knew it.")
    steps: Steps = Field(default_factory=list)
    kind: Annotated[WasteKind, AsListed] = Field(
        description="repeat: the same call or message again. already known: fetched or asked for "
        "what the record held. needless question: asked what need not be asked. detour: work that "
        "served no wish. undone later: an action that had to be reversed or redone."
    )


class Wastes(BaseModel):
    waste: list[Waste] = Field(
        description="Every needless action; each step in one entry only. Often none."
    )


def score(answer: Wastes, facts: Facts) -> Outcome:
    actions_by_step = actions(facts)
    total = sum(actions_by_step.values())
    counted_already: set[int] = set()
    findings: list[Finding] = []
    wasted = 0
    for waste in answer.waste:
        own = steps_of_actions(waste.steps, actions_by_step, facts) - counted_already
        counted_already |= own
        actions_here = min(sum(actions_by_step[step] for step in own), total - wasted)
        wasted += actions_here
        findings.append(
            Finding(
                "waste",
                waste.what,
                waste.kind,
                waste.steps,
                -actions_here / total,
                {"actions": actions_here},
            )
        )
    what = f"{wasted} of {counted(total, 'action')} could have been left out"
    details = {"actions": total, "wasted": wasted}
    return Scored(1 - wasted / total, reason_of(what, findings), {**details}, findings)


def waste_rule(facts: Facts) -> Wastes:
    """Finds calls and messages that repeat an earlier one exactly, and failed calls."""
    repeated = {id(call) for call in facts.repeated_calls}
    waste: list[Waste] = []
    for call in facts.calls:
        if id(call) in repeated:
            what, kind = f"{truncate(call.name, 80)} repeats an earlier call exactly.", "repeat"
        elif call.error is not None:
            what, kind = f"{truncate(call.name, 80)} failed.", "detour"
        else:
            continue
        waste.append(Waste.model_validate({"what": what, "steps": [call.step], "kind": kind}))
    return Wastes(waste=[*waste, *_said_again(facts)])


def _said_again(facts: Facts) -> Iterator[Waste]:
    seen: set[str] = set()
    for step, text in replies_by_step(facts):
        if text in seen:
            yield Waste(what="It says the same again.", steps=[step], kind="repeat")
        seen.add(text)


QUESTION = """\
Could a careful agent have left steps out?

- An action is a tool call or a message to the user. List those that were needless, and name for
  each the step of the action itself.
- An action is needed if a careful agent that knew only what was known at that point would take
  it. Judge with that knowledge, not with hindsight: a search that found nothing can be needed.
- Waste is: the same call again after it had succeeded and nothing had changed; fetching or asking
  for what the record already held; going on with what cannot work; asking the user for what a
  look-up would tell, or one thing at a time where one question would do; work on something nobody
  asked for; an action that had to be undone or done again because of the agent's own mistake.
- Needed are: confirmations and checks that the instructions demand; answers to the user's own
  questions; one retry of a failed call; turns that the user brings about by changing the request
  or holding back information; the message that closes the conversation.
- Several model calls around one tool call are how agents are built, not waste. So is a message
  that only announces a hand-over.
- Whether the task succeeded is another question. What the agent should have done and did not do
  is no waste.
"""

METRIC = JudgedMetric(
    name="step_efficiency",
    about="Could a careful agent have omitted steps?",
    formula="1 - wasted actions / actions, actions being tool calls and messages to the user, each "
    "counted once; not applicable without an action",
    outputs={"actions": "tool calls and messages to the user", "wasted": "the needless actions"},
    threshold=0.75,
    threshold_reason="if one action in four is needless, a run costs a third more than necessary",
    question=QUESTION,
    answer=Wastes,
    score=score,
    inapplicable=no_actions,
    rule=waste_rule,
    rule_about="waste is every exact repeat of a call or of a message, and every failed call",
    tokens=400,
    tokens_per_call=10,
    example=Example(trace=order_trace(), answer=Wastes(waste=[]), expected=1.0),
)
