"""Did each tool call carry the right arguments?"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, JsonValue, create_model

from evals.calls import ToolCall
from evals.case import TraceCase
from evals.compact import compact
from evals.examples import order_trace
from evals.facts import Facts
from evals.metric import Example, NotApplicable, Outcome, Scored, Stage, TraceMetric
from evals.words import shortened

# More verdicts than this in one answer and models begin to skip some.
_AT_ONCE = 20
_ARGUMENTS_SHOWN = 1_000
_WORST_NAMED = 3
_ONE_FOR_EVERY_CALL = "One for every call listed, in their order."


class CallVerdict(BaseModel):
    call: int = Field(description="The call's number in the list, not its step.")
    reason: str = Field(
        description="One or two sentences: which argument, what it is, what it should be and where "
        "that stands."
    )
    verdict: Literal["yes", "no"] = Field(description="yes: all of its arguments are right.")


class CallVerdicts(BaseModel):
    verdicts: list[CallVerdict] = Field(description=_ONE_FOR_EVERY_CALL)


_IDENTIFIER = re.compile(r"(?=\w*\d)(?=\w*[A-Za-z])\w{4,}", re.ASCII)
_TOKEN = re.compile(r"\w{4,}", re.ASCII)
_FREE_TEXT = re.compile(r"\s")


def arguments_rule(facts: Facts) -> CallVerdicts:
    """Looks for what a wrong argument leaves behind; it cannot tell a wrong one that worked."""
    known: set[str] = set(_tokens((facts.request, compact(facts.trace.input))))
    texts = _texts_by_step(facts)
    done = 0
    verdicts: list[CallVerdict] = []
    for number, call in enumerate(facts.calls, 1):
        for step in range(done, call.step):
            known.update(_tokens(texts[step]))
        done = call.step
        fault = _fault(call, facts, known)
        verdict: Literal["yes", "no"] = "no" if fault else "yes"
        reason = fault or "Accepted by the tool, nothing missing, every identifier seen before."
        verdicts.append(CallVerdict(call=number, reason=reason, verdict=verdict))
        known.update(_tokens((call.result,)))
    return CallVerdicts(verdicts=verdicts)


def _fault(call: ToolCall, facts: Facts, known: set[str]) -> str:
    if call.error is not None:
        return f"The tool refused it: {shortened(call.error, 160)}"
    given = call.arguments if isinstance(call.arguments, dict) else {}
    tool = next((tool for tool in facts.tools if tool.name == call.name), None)
    if tool is not None and tool.parameters:
        missing = [one.name for one in tool.parameters if one.required and one.name not in given]
        if missing:
            return f"Required arguments are missing: {', '.join(missing)}."
        unknown = set(given) - {one.name for one in tool.parameters}
        if unknown:
            return f"The tool has no such argument: {', '.join(sorted(unknown))}."
    invented = [
        value
        for value in _plain_values(call.arguments)
        if _IDENTIFIER.fullmatch(value) and value.lower() not in known
    ]
    if invented:
        return f"{shortened(invented[0], 80)} occurs nowhere before the call."
    return ""


def _texts_by_step(facts: Facts) -> list[list[str]]:
    texts: list[list[str]] = []
    for place, span in enumerate(facts.trace.spans):
        turn = facts.spoken.get(place)
        heard = [message.text for message in (turn.heard or ())] if turn is not None else []
        at = facts.record.at.get(place + 1)
        texts.append([*heard, *([] if turn or at else [compact(span.input), compact(span.output)])])
    return texts


def _tokens(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        yield from map(str.lower, _TOKEN.findall(text))


def _plain_values(value: JsonValue) -> list[str]:
    if isinstance(value, dict):
        return [found for inner in value.values() for found in _plain_values(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in _plain_values(inner)]
    return [value] if isinstance(value, str) and not _FREE_TEXT.search(value) else []


ARGUMENTS = Stage(
    name="arguments",
    answer=CallVerdicts,
    rule=arguments_rule,
    rule_about="no for a call that its tool refused, that lacks a required argument or carries an "
    "unknown one, or that names an identifier (letters and digits) seen nowhere before it.",
    prompt="""\
Judge the arguments of these tool calls, each on its own. The number in brackets is the step that
shows the call.

{calls}

For every call answer yes if all of its arguments are right for what the call was meant to do at
that point, else no.

- Compare each argument with its source: the user's words, earlier tool results, the agent's
  instructions, the tool's parameters where they are listed. Check names, identifiers, dates,
  amounts, units, quantities, order, and values that had to be worked out: work them out again.
- An argument is wrong if it contradicts its source, was made up or guessed, was left out although
  the purpose needs it, breaks the tool's format, or goes beyond what the user agreed to.
- What a sensible reader would infer (the current year, an airport's code, a default) is right.
  Wording in free text is right if its facts are.
- An argument that was right by all that was known then stays right, even if the call failed for
  another reason or the user later changed the wish.
- Whether the call should have been made, or with this tool, is another metric's question.
- Say in each reason which argument decided and where its right value stands; for a call that is
  right one short sentence is enough.
""",
)


async def evaluate(case: TraceCase) -> Outcome:
    calls = case.facts.calls
    if not calls:
        offered = bool(case.facts.tools)
        return NotApplicable(
            "Tools were on offer, but no call was made whose arguments could be judged."
            if offered
            else "The trace shows no tool call and no tool on offer."
        )
    verdicts: dict[int, CallVerdict] = {}
    numbers = range(1, len(calls) + 1)
    for start in range(0, len(calls), _AT_ONCE):
        verdicts |= await _judged(case, calls, numbers[start : start + _AT_ONCE])
    right = sum(verdict.verdict == "yes" for verdict in verdicts.values())
    details: dict[str, JsonValue] = {
        "user_input": case.facts.request,
        "verdicts": [
            {"tool": calls[number - 1].name, "verdict": verdict.verdict, "reason": verdict.reason}
            for number, verdict in sorted(verdicts.items())
        ],
    }
    return Scored(right / len(calls), _overall(calls, verdicts), details)


async def _judged(
    case: TraceCase, calls: Sequence[ToolCall], numbers: Sequence[int]
) -> dict[int, CallVerdict]:
    listed = "\n".join(_listed(number, calls[number - 1], case) for number in numbers)
    answer = await case.ask(_stage_about(tuple(numbers)), calls=listed)
    found: dict[int, CallVerdict] = {}
    for verdict in answer.verdicts:
        if verdict.call in numbers:
            found.setdefault(verdict.call, verdict)
    return found


@lru_cache(maxsize=64)
def _stage_about(numbers: tuple[int, ...]) -> Stage[CallVerdicts]:
    """An answer that passes over a call does not validate, so it is never kept as one."""

    def complete(verdicts: list[CallVerdict]) -> list[CallVerdict]:
        missing = sorted(set(numbers) - {verdict.call for verdict in verdicts})
        if missing:
            raise ValueError(f"no verdict on call {', '.join(map(str, missing))}")
        return verdicts

    answer = create_model(
        CallVerdicts.__name__,
        __base__=CallVerdicts,
        verdicts=(
            Annotated[list[CallVerdict], AfterValidator(complete)],
            Field(description=_ONE_FOR_EVERY_CALL),
        ),
    )
    return replace(ARGUMENTS, answer=answer)


def _listed(number: int, call: ToolCall, case: TraceCase) -> str:
    line = f"{number}. [{call.step}] {shortened(call.name, 120)}"
    # A shortened trace may have lost the very argument in question.
    if case.truncated:
        line += f" {shortened(compact(call.arguments), _ARGUMENTS_SHOWN)}"
    return line


def _overall(calls: Sequence[ToolCall], verdicts: dict[int, CallVerdict]) -> str:
    wrong = [(calls[number - 1], one) for number, one in verdicts.items() if one.verdict == "no"]
    if not wrong:
        return f"All {len(calls)} tool calls carried the right arguments."
    told = " ".join(
        f"[{call.step}] {shortened(call.name, 80)}: {shortened(one.reason, 300)}"
        for call, one in wrong[:_WORST_NAMED]
    )
    more = f" And {len(wrong) - _WORST_NAMED} more." if len(wrong) > _WORST_NAMED else ""
    return f"{len(wrong)} of {len(calls)} tool calls carried a wrong argument. {told}{more}"


METRIC = TraceMetric(
    name="argument_correctness",
    about="Did each tool call carry the right arguments?",
    formula="calls with right arguments / calls; not applicable without a tool call",
    outputs={
        "user_input": "the user's first message",
        "verdicts": "for each call, in order: tool, verdict (yes or no) and reason",
    },
    stages=(ARGUMENTS,),
    evaluate=evaluate,
    example=Example(
        trace=order_trace(),
        answers={
            "arguments": CallVerdicts(
                verdicts=[
                    CallVerdict(
                        call=1,
                        reason="order is 4711, as in the user's message.",
                        verdict="yes",
                    )
                ]
            )
        },
        expected=1.0,
    ),
)
