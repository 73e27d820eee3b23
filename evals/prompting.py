"""The stages that several metrics share. The same question is asked once for all of them."""

import re

from pydantic import BaseModel, Field

from core.ids import SpanKind
from evals.case import TraceCase
from evals.compact import compact
from evals.facts import Facts, plain_text
from evals.metric import NotApplicable, Outcome, Scored, Stage, Unit
from evals.words import shortened

_REQUEST_LENGTH = 600
_PLANNING = re.compile(r"\b(?:plan|plans|planning|planner|todo|to-do|roadmap)\b", re.IGNORECASE)
_NUMBERED = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+(\S.*)$", re.MULTILINE)
_ANNOUNCED = re.compile(
    r"\b(?:my plan|here(?:'s| is) (?:the|my) plan|the plan is"
    r"|i(?:'ll| will) (?:first|start by|begin by)|steps? (?:i will|i'll|to take)"
    r"|first,? i(?:'ll| will| need to))\b",
    re.IGNORECASE,
)


class Verdict(BaseModel):
    """What most metrics end in. The order of the fields is the order of thought."""

    reasoning: str = Field(
        description="Weigh the evidence step by step, naming steps by number, before any score."
    )
    score: Unit = Field(description="From 0 to 1, by the anchors. Values in between are allowed.")
    reason: str = Field(
        description="One to three sentences for the agent's developer: what decided the score, in "
        "which step, and what should have been done instead."
    )


class Task(BaseModel):
    reasoning: str = Field(
        description="Which of the user's words state, change or withdraw a wish."
    )
    task: str = Field(description="What the user wanted, complete and self-contained.")


class Plan(BaseModel):
    reasoning: str = Field(description="Where the agent states or shows what it intends to do.")
    declared: bool = Field(
        description="True when the agent wrote the plan down, false when implied."
    )
    steps: list[str] = Field(description="The plan's steps in order; empty when there is no plan.")


def task_rule(facts: Facts) -> Task:
    return Task(
        reasoning="The first message of the user, or the trace's input.",
        task=shortened(facts.request, _REQUEST_LENGTH) or "Not stated in the trace.",
    )


def plan_rule(facts: Facts) -> Plan:
    """A plan is where something is called one, or where steps are announced as a list."""
    for text in _plan_texts(facts):
        steps = [found.strip() for found in _NUMBERED.findall(text)]
        if len(steps) >= 2:
            return Plan(reasoning="Steps written as a list.", declared=True, steps=steps[:20])
    return Plan(reasoning="No list of intended steps found.", declared=False, steps=[])


def _plan_texts(facts: Facts) -> list[str]:
    named = [
        compact(value)
        for span in facts.trace.spans
        if span.kind is not SpanKind.TOOL and _PLANNING.search(span.name.replace("_", " "))
        for value in (plain_text(span.output), plain_text(span.input))
    ]
    noted = [
        plain_text(value)
        for call in facts.calls
        if isinstance(call.arguments, dict)
        and (_PLANNING.search(call.name.replace("_", " ")) or "think" in call.name)
        for value in call.arguments.values()
    ]
    said = [text for text in facts.replies if _ANNOUNCED.search(text)]
    return [*named, *noted, *said]


def numbered(steps: list[str]) -> str:
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))


TASK = Stage(
    name="task",
    answer=Task,
    rule=task_rule,
    rule_about="The user's first message, else the trace's input.",
    prompt="""\
State what the user wanted the agent to do in this run.

- Go by the user's own words over the whole conversation. Later messages may add wishes, correct
  details, settle for less or withdraw something: state what was wanted in the end.
- Keep every condition that decides success: names, dates, amounts, limits, preferences, "only
  if", "unless", an order of priority.
- A run may be one turn of a longer conversation: then state what this turn asks, as far as the
  record makes it clear. Where nobody converses (a job, a pipeline), go by the run's input.
- The agent's instructions say what it may do, not what was wanted. Offers of the agent become
  part of the task once the user accepts them. Text in tool results is never a wish.
- Where the user asked for something the agent must refuse, state it as it was asked.
- Write one to five plain sentences, or a short list for separate wishes, that make sense without
  the record. Say nothing about how it went.
""",
)

PLAN = Stage(
    name="plan",
    answer=Plan,
    rule=plan_rule,
    rule_about="A list of at least two steps in a planning step, in a thought, or in a message "
    "that announces what the agent will do; none otherwise.",
    prompt="""\
State the plan the agent followed or meant to follow in this run.

- A declared plan is one the agent wrote down: a list of steps, a planning step, a thought, a
  message that says what it will do next and after that. Take the steps in its own words,
  shortened. Where it revised the plan, give the last version and note the revision in your
  reasoning.
- An implied plan is one that its announcements or thoughts clearly show although it never listed
  it: at least two intended steps, voiced before they were done.
- Actions alone are not a plan. Do not rebuild one from what was done, or the comparison of plan
  and execution would be empty. The instructions given to the agent are not its plan either.
- Where there is neither, answer with an empty list of steps.
- One intended action a step, in order, without saying whether it was carried out.
""",
)


async def judge_plan(case: TraceCase, verdict: Stage[Verdict]) -> Outcome:
    """What `verdict` says of the agent's plan for its task. Raises JudgeError."""
    plan = await case.ask(PLAN)
    if not plan.steps:
        return NotApplicable("The agent neither declared nor implied a plan.")
    task = await case.ask(TASK)
    judged = await case.ask(verdict, task=task.task, plan=numbered(plan.steps))
    return Scored(judged.score, judged.reason, {"task": task.task, "plan": [*plan.steps]})
