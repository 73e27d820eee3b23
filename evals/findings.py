"""Findings: items of a judge's answer, and findings as scores store them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, JsonValue

from evals.transcript.transcript import Transcript

A = TypeVar("A", bound=BaseModel)

CANNOT_TELL = "cannot tell"
"""The verdict about something that the record does not show. Formulas ignore this verdict."""

Steps = Annotated[
    list[int],
    Field(description="Numbers of the steps that prove it, as in the record. No other numbers."),
]


def _as_listed(value: object) -> object:
    """Restores the listed spelling of a verdict: some models use capitals or underscores."""
    if isinstance(value, str):
        return " ".join(value.replace("_", " ").replace("-", " ").lower().split())
    return value


AsListed = BeforeValidator(_as_listed)
"""Annotates a Literal of verdicts: accepts any case, and underscores for spaces."""


class Item(BaseModel):
    """One entry of a list in a judge's answer: a text, then `steps`, then verdicts.

    Every subclass declares `steps` itself, because a judge answers fields in their declared order.
    """

    if TYPE_CHECKING:
        steps: Steps


@dataclass(frozen=True, slots=True)
class Finding:
    """An item with its effect on the score.

    `points` is what the item adds to the score or subtracts from it; 0 if the formula ignores the
    item. `details` are further entries of the stored finding.
    """

    kind: str
    text: str
    verdict: str
    steps: Sequence[int]
    points: float = 0.0
    details: Mapping[str, JsonValue] = field(default_factory=dict)


class UnknownSteps(ValueError):
    """An answer that cites steps, but no step of the record."""


def with_known_steps(answer: A, transcript: Transcript) -> tuple[A, int]:
    """Removes step numbers that do not exist, and returns how many were removed.

    Raises UnknownSteps if the whole answer has only such numbers.
    """
    dropped = kept = 0
    changed: dict[str, object] = {}
    for name, items in _lists(answer):
        cleaned = []
        for item in items:
            steps = [step for step in item.steps if transcript.step(step) is not None]
            kept += len(steps)
            dropped += len(item.steps) - len(steps)
            cleaned.append(
                item if len(steps) == len(item.steps) else item.model_copy(update={"steps": steps})
            )
        changed[name] = cleaned
    if dropped and not kept:
        raise UnknownSteps("none of the step numbers in it occurs in the record")
    return (answer.model_copy(update=changed) if dropped else answer), dropped


def _lists(answer: BaseModel) -> Iterator[tuple[str, list[Item]]]:
    for name in type(answer).model_fields:
        items = getattr(answer, name)
        if isinstance(items, list) and items and isinstance(items[0], Item):
            yield name, items


def joined(answers: Sequence[A]) -> A:
    """Joins the answers to the parts of one question: concatenates lists, and takes other fields
    from the first answer.
    """
    first, *others = answers
    if not others:
        return first
    lists = {
        name: [item for answer in answers for item in getattr(answer, name)]
        for name in type(first).model_fields
        if isinstance(getattr(first, name), list)
    }
    return first.model_copy(update=lists)
