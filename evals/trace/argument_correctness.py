"""Did each call carry the right arguments?"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field, JsonValue

from core.truncation import truncate
from evals.findings import CANNOT_TELL, AsListed, Finding, Item, Steps
from evals.metric import Example, JudgedMetric, NotApplicable, Outcome, Scored
from evals.sample_traces import order_trace
from evals.tool_findings import about_call, no_tools, reason_of
from evals.transcript.compact_json import compact
from evals.transcript.facts import Facts
from evals.transcript.tool_calls import ToolCall
from evals.transcript.tools import Tool

ArgumentVerdict = Literal["right", "wrong", "cannot tell"]


class ArgumentCheck(Item):
    call: int = Field(description="The call's number in the list of calls, not its step.")
    argument: str = Field(
        default="", description="Name of the wrong or missing argument; empty for a right call."
    )
    should_be: str = Field(default="", description="Its right value; empty for a right call.")
    why: str = Field(
        default="", description="Where the right value stands; a few words for a right call."
    )
    steps: Steps = Field(default_factory=list)
    verdict: Annotated[ArgumentVerdict, AsListed] = Field(
        description="right: all of its arguments are. wrong: one of them is not, or is missing."
    )


class ArgumentChecks(BaseModel):
    calls: list[ArgumentCheck] = Field(description="One entry for every call listed, in order.")


def score(answer: ArgumentChecks, facts: Facts) -> Outcome:
    calls = {one.call: one for one in answer.calls if 1 <= one.call <= len(facts.calls)}
    decided = [one for one in calls.values() if one.verdict != CANNOT_TELL]
    each = 1 / len(decided) if decided else 0.0
    findings = [
        about_call(
            facts.calls[number - 1],
            Finding(
                "call",
                _text(one),
                one.verdict,
                one.steps,
                each if one.verdict == "right" else 0.0,
                {"argument": one.argument or None, "should_be": one.should_be or None},
            ),
        )
        for number, one in sorted(calls.items())
    ]
    if not decided:
        return NotApplicable(
            "The record does not tell of any call whether its arguments were right.",
            findings=findings,
        )
    right = sum(one.verdict == "right" for one in decided)
    what = f"{right} of {len(decided)} decided tool calls carried the right arguments"
    wrong = [one for one in findings if one.verdict == "wrong"]
    return Scored(right / len(decided), reason_of(what, wrong), findings=findings)


def _text(check: ArgumentCheck) -> str:
    if not check.argument:
        return check.why
    return f"{check.argument} should be {check.should_be or 'another value'}. {check.why}".strip()


_IDENTIFIER = re.compile(r"(?=\w*\d)(?=\w*[A-Za-z])\w{4,}", re.ASCII)
_TOKEN = re.compile(r"\w{4,}", re.ASCII)
_FREE_TEXT = re.compile(r"\s")


def arguments_rule(facts: Facts) -> ArgumentChecks:
    """Looks for signs of wrong arguments. Does not notice a wrong argument that worked."""
    known: set[str] = set(_tokens((facts.request, compact(facts.trace.input))))
    offered = {tool.name: tool for tool in facts.tools}
    done = 0
    checks: list[ArgumentCheck] = []
    for number, call in enumerate(facts.calls, 1):
        for texts in facts.texts[done : call.step]:
            known.update(_tokens(texts))
        done = call.step
        fault = _fault(call, offered.get(call.name), known)
        verdict: ArgumentVerdict = "wrong" if fault else "right"
        why = fault or "Accepted by the tool, nothing missing, every identifier seen before."
        checks.append(ArgumentCheck(call=number, why=why, verdict=verdict))
        known.update(_tokens((call.result,)))
    return ArgumentChecks(calls=checks)


def _fault(call: ToolCall, tool: Tool | None, known: set[str]) -> str:
    if call.error is not None:
        return f"The tool refused it: {truncate(call.error, 160)}"
    given = call.arguments if isinstance(call.arguments, dict) else {}
    if tool is not None and tool.parameters:
        names = {one.name for one in tool.parameters}
        missing = [one.name for one in tool.parameters if one.required and one.name not in given]
        if missing:
            return f"Required arguments are missing: {_named(missing)}."
        unknown = set(given) - names
        if unknown:
            return f"The tool has no such argument: {_named(sorted(unknown))}."
    for value in _plain_values(call.arguments):
        if _IDENTIFIER.fullmatch(value) and value.lower() not in known:
            return f"{truncate(value, 80)} occurs nowhere before the call."
    return ""


def _named(arguments: Sequence[str]) -> str:
    return truncate(", ".join(arguments[:10]), 200)


def _tokens(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        yield from map(str.lower, _TOKEN.findall(text))


def _plain_values(value: JsonValue) -> Iterator[str]:
    """Texts of one word, at any depth."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(reversed(one.values()))
        elif isinstance(one, list):
            waiting.extend(reversed(one))
        elif isinstance(one, str) and not _FREE_TEXT.search(one):
            yield one


def no_calls(facts: Facts) -> str | None:
    if facts.calls:
        return None
    return no_tools(facts) or (
        "Tools were on offer, but no call was made whose arguments could be judged."
    )


QUESTION = """\
Did each call carry the right arguments?

- Judge each call on its own, by what it was meant to do at that point. Compare every argument
  with its source: the user's words, earlier tool results, the agent's instructions, the tool's
  parameters where they are listed. Check names, identifiers, dates, amounts, units, quantities
  and order, and work out again what had to be worked out.
- wrong: an argument contradicts its source, was made up or guessed, was left out although the
  purpose needs it, breaks the tool's format, or goes beyond what the user agreed to. Name it,
  give its right value, and name the step where that stands.
- right: what a sensible reader would infer (the current year, an airport's code, a default).
  Wording in free text is right if its facts are. So is an argument that was right by all that was
  known then, even if the call failed for another reason or the user changed the wish later.
- Whether the call should have been made at all, or with this tool, is another question.
- cannot tell: the source of the argument is not in the record.
"""

METRIC = JudgedMetric(
    name="argument_correctness",
    about="Did each call carry the right arguments?",
    formula="calls with right arguments / decided calls; calls with the verdict `cannot tell` are "
    "left out; not applicable without a tool call, and where nothing could be decided",
    outputs={},
    threshold=0.9,
    threshold_reason="a wrong argument is a wrong action, so more than one in ten is a failure",
    question=QUESTION,
    answer=ArgumentChecks,
    score=score,
    inapplicable=no_calls,
    rule=arguments_rule,
    rule_about="wrong for a call that its tool refused, that lacks a required argument or has "
    "an unknown one, or that names an identifier (letters and digits) that occurs nowhere before; "
    "right for all other calls",
    calls_asked=True,
    tokens=200,
    tokens_per_call=50,
    example=Example(
        trace=order_trace(),
        answer=ArgumentChecks(
            calls=[
                ArgumentCheck(
                    call=1, why="4711, as in the user's message.", steps=[2], verdict="right"
                )
            ]
        ),
        expected=1.0,
    ),
)
