"""Was each tool call the right one, and is one missing?"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, JsonValue, model_validator

from core.truncation import truncate
from evals.findings import CANNOT_TELL, AsListed, Finding, Item, Steps
from evals.metric import Example, JudgedMetric, NotApplicable, Outcome, Scored
from evals.sample_traces import order_trace
from evals.tool_findings import about_call, no_tools, reason_of
from evals.transcript.facts import Facts

ToolVerdict = Literal["right", "needless", "wrong tool", "cannot tell"]


class ToolChoice(Item):
    call: int = Field(description="The call's number in the list of calls, not its step.")
    why: str = Field(
        default="", description="What decided it; a few words for a call that is right."
    )
    steps: Steps = Field(default_factory=list)
    verdict: Annotated[ToolVerdict, AsListed] = Field(
        description="right: it served a need at that point. needless: its result could not change "
        "what came next. wrong tool: it did what nobody wanted or allowed, or another tool on "
        "offer was the one for it."
    )


class MissingCall(Item):
    what: str = Field(description="Which tool, for which need of the task.")
    after_step: int = Field(description="The step after which the call was due.")
    steps: Steps = Field(default_factory=list)

    @model_validator(mode="after")
    def _is_due_after_one_of_its_steps(self) -> Self:
        if self.after_step and self.after_step not in self.steps:
            self.steps = [self.after_step, *self.steps]
        return self


class ToolChoices(BaseModel):
    calls: list[ToolChoice] = Field(description="One entry for every call listed, in order.")
    missing: list[MissingCall] = Field(
        description="Calls that the task needed and the agent could make, but did not. Often none."
    )


def score(answer: ToolChoices, facts: Facts) -> Outcome:
    calls = {one.call: one for one in answer.calls if 1 <= one.call <= len(facts.calls)}
    decided = [one for one in calls.values() if one.verdict != CANNOT_TELL]
    parts = len(decided) + len(answer.missing)
    each = 1 / parts if parts else 0.0
    findings = [
        about_call(
            facts.calls[number - 1],
            Finding(
                "call", one.why, one.verdict, one.steps, each if one.verdict == "right" else 0.0
            ),
        )
        for number, one in sorted(calls.items())
    ]
    findings += [
        Finding("missing", one.what, "missing", one.steps, details=_place(one))
        for one in answer.missing
    ]
    if not parts:
        if facts.calls:
            reason = "The record does not tell of any call whether it was the right one."
        else:
            reason = "No tool was called and none was missing, so there is no choice to score."
        return NotApplicable(reason, findings=findings)
    right = sum(one.verdict == "right" for one in decided)
    figure = f"{right} of {len(decided)} decided tool calls were right"
    if answer.missing:
        figure += f", {len(answer.missing)} missing"
    details: dict[str, JsonValue] = {
        "tools_called": [call.name for call in facts.calls[:200]],
        "available_tools": [tool.name for tool in facts.tools[:200]],
    }
    faults = [one for one in findings if one.verdict not in ("right", CANNOT_TELL)]
    return Scored(right / parts, reason_of(figure, faults), details, findings)


def _place(missing: MissingCall) -> dict[str, JsonValue]:
    """Empty if the record has no such step; 0 stands for the beginning."""
    known = missing.after_step in (0, *missing.steps)
    return {"after_step": missing.after_step} if known else {}


def choices_rule(facts: Facts) -> ToolChoices:
    """Counts repetitions, failures and tools that were not on offer."""
    offered = {tool.name for tool in facts.tools}
    repeated = {id(call) for call in facts.repeated_calls}
    choices: list[ToolChoice] = []
    for number, call in enumerate(facts.calls, 1):
        verdict: ToolVerdict = "right"
        why = "On offer as far as known, not repeated, not failed."
        if offered and call.name not in offered:
            verdict, why = "wrong tool", "This tool was not on offer."
        elif id(call) in repeated:
            verdict, why = "needless", "It repeats an earlier call exactly."
        elif call.error is not None:
            verdict, why = "needless", f"It failed: {truncate(call.error, 160)}"
        choices.append(ToolChoice(call=number, why=why, verdict=verdict))
    return ToolChoices(calls=choices, missing=[])


QUESTION = """\
Was each tool call the right one, and is one missing?

- Judge each call by what the agent knew at that point: was this the tool that served the task, or
  a check that the instructions demand, there and then? Hindsight does not count: a search that
  found nothing can be right.
- needless: the result could not change what came next. So are exact repeats of a call that had
  succeeded with nothing changed in between, look-ups of something already known, work nobody
  asked for that changes nothing. One retry of a failed call is right.
- wrong tool: another tool on offer was the one for this need, or the call changes something that
  nobody wanted or that the instructions forbid, or it hands over although the agent could go on.
- Whether the arguments were right, whether the tool itself failed and how the agent dealt with
  that are other questions: a fitting tool with a wrong argument is right here.
- missing: a call that the task needed, that a tool on offer allows, and that was never made: a
  look-up before an answer from nothing, a check that the instructions demand, an action that was
  agreed or claimed and not carried out. One entry for each call, not for each reason. No call is
  missing for a wish that was rightly refused. Where the tools on offer are not known, assume none
  that the record gives no sign of.
"""

METRIC = JudgedMetric(
    name="tool_correctness",
    about="Was each tool call the right one, and is one missing?",
    formula="calls that are right / (decided calls + missing calls); calls with the verdict "
    "`cannot tell` are left out; not applicable with no tool call and no tool on offer, and where "
    "nothing could be decided",
    outputs={
        "tools_called": "names of the tools called, in order, at most 200",
        "available_tools": "names of the recorded tools on offer, at most 200",
    },
    threshold=0.75,
    threshold_reason="if one call in four is wrong or missing, the choice of tools needs attention",
    question=QUESTION,
    answer=ToolChoices,
    score=score,
    inapplicable=no_tools,
    rule=choices_rule,
    rule_about="wrong tool for a call to a tool that was not on offer; needless for an exact "
    "repeat and for a failed call; right for all other calls; no call counts as missing",
    calls_asked=True,
    tokens=300,
    tokens_per_call=45,
    example=Example(
        trace=order_trace(),
        answer=ToolChoices(
            calls=[
                ToolChoice(
                    call=1, why="It finds the order asked about.", steps=[3], verdict="right"
                )
            ],
            missing=[],
        ),
        expected=1.0,
    ),
)
