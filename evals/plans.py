"""The agent's plan: what counts as a plan, how a rule finds a plan, and the findings about it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from core.ids import SpanKind
from core.truncation import truncate
from evals.findings import Finding
from evals.steps import MAX_RULE_TEXT
from evals.transcript.compact_json import compact
from evals.transcript.facts import Facts, plain_text

NO_PLAN: Final = "The agent neither declared nor implied a plan."

WHAT_IS_A_PLAN: Final = """\
A declared plan is one the agent wrote down: a list of steps, a planning step, a thought, a
message that says what it will do next and after that. Take its items in the agent's own words,
shortened. Where it revised the plan, take the last version. An implied plan is one that
announcements or thoughts clearly show although they never list it: at least two intended actions,
voiced before they were done. Actions alone are no plan, nor are the agent's instructions, nor a
list of changes that the user is asked to confirm, nor a single announcement ("let me look that
up"). Without a plan leave every list empty.
"""

_MAX_ITEMS = 20
_MAX_ITEM = 300
_PLANNING = re.compile(r"\b(?:plan|plans|planning|planner|todo|to-do|roadmap)\b", re.IGNORECASE)
_NUMBERED = re.compile(r"^[ \t]{0,8}(?:\d{1,2}[.)]|[-*•])[ \t]{1,8}(\S.*)$", re.MULTILINE)
_ANNOUNCED = re.compile(
    r"\b(?:my plan|here(?:'s| is) (?:the|my) plan|the plan is"
    r"|i(?:'ll| will) (?:first|start by|begin by)|steps? (?:i will|i'll|to take)"
    r"|first,? i(?:'ll| will| need to))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class JudgedPlan:
    """The findings about a plan: its items, and actions or items that it lacks."""

    items: Sequence[Finding]
    beyond: Sequence[Finding]
    decided: int
    parts: int
    earned: float
    """Points over all parts, from 0 to 1."""

    @property
    def findings(self) -> list[Finding]:
        return [*self.items, *self.beyond]


def judged_plan(
    items: Sequence[tuple[str, str, Sequence[int]]],
    beyond: Sequence[tuple[str, Sequence[int]]],
    *,
    kind: str,
    credit: Mapping[str, float],
) -> JudgedPlan:
    """Every item is a text, a verdict and steps; every other part is a text and steps.

    The points are divided equally among the parts. Items with a verdict outside of `credit` do not
    count as parts. `kind` is kind and verdict of the other parts, which earn no points.
    """
    decided = [verdict for _, verdict, _ in items if verdict in credit]
    parts = len(decided) + len(beyond)
    return JudgedPlan(
        [
            Finding("item", text, verdict, steps, credit.get(verdict, 0.0) / max(parts, 1))
            for text, verdict, steps in items
        ],
        [Finding(kind, text, kind, steps) for text, steps in beyond],
        decided=len(decided),
        parts=parts,
        earned=sum(credit[verdict] for verdict in decided) / max(parts, 1),
    )


def planned_steps(facts: Facts) -> list[str]:
    """Finds the steps of a plan: a text that is called a plan, or a list of announced steps."""
    for text in _plan_texts(facts):
        found = islice(_NUMBERED.finditer(text[:MAX_RULE_TEXT]), _MAX_ITEMS)
        steps = [truncate(one[1].strip(), _MAX_ITEM) for one in found]
        if len(steps) >= 2:
            return steps
    return []


def _plan_texts(facts: Facts) -> Iterator[str]:
    for span in facts.trace.spans:
        if span.kind is not SpanKind.TOOL and _PLANNING.search(span.name.replace("_", " ")):
            yield compact(plain_text(span.output))
            yield compact(plain_text(span.input))
    for call in facts.calls:
        named = _PLANNING.search(call.name.replace("_", " ")) or "think" in call.name
        if named and isinstance(call.arguments, dict):
            yield from map(plain_text, call.arguments.values())
    yield from (text for text in facts.replies if _ANNOUNCED.search(text[:MAX_RULE_TEXT]))
