"""Builds questions about one or several metrics, and checks their answers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, PlainSerializer, ValidationError, WrapValidator, create_model

from evals.findings import with_known_steps
from evals.judges.answer_format import SeparateParts
from evals.judges.protocol import Question
from evals.metric import JudgedMetric
from evals.transcript.facts import Facts
from evals.transcript.transcript import Transcript
from evals.wording import HOW_TO_ANSWER, continued, counted_facts, titled

A = TypeVar("A", bound=BaseModel)

MAX_CALLS_PER_PART: Final = 40

MAX_QUESTIONS: Final = 25
"""Maximum number of questions per trace and metric; enough for 1,000 tool calls."""

"""Maximum number of tool calls per part of a question; models skip calls if there are more."""

PREVIEW_TOKENS: Final = 100_000
"""Token budget of the trace in a prompt preview."""

_MAX_CALLS_LISTED = 200
_FIRST = "task_completion"


@dataclass(frozen=True, slots=True)
class Part:
    """One metric's part of a judge call: its question about the tool calls `first` to `last`,
    counted from 1.

    A metric that does not ask about single calls has one part without a range. `calls` is the
    number of calls that the answer may mention.
    """

    metric: JudgedMetric[Any]
    first: int = 0
    last: int = 0
    calls: int = 0

    @property
    def continues(self) -> bool:
        return self.first > 1

    @property
    def tokens(self) -> int:
        return self.metric.tokens + self.metric.tokens_per_call * self.calls


Group = tuple[Part, ...]
"""The parts of one judge call, in their fixed order."""


def in_order(metrics: Sequence[JudgedMetric[Any]]) -> list[JudgedMetric[Any]]:
    """The fixed order of parts: the metric that reads the whole conversation comes first."""
    return sorted(metrics, key=lambda metric: (metric.name != _FIRST, metric.name))


def plan(metrics: Sequence[JudgedMetric[Any]], facts: Facts, answer_tokens: int) -> list[Group]:
    """Groups the parts so that no answer exceeds `answer_tokens`.

    The groups depend only on the number of calls in the trace, so every pair of a trace gets the
    same groups.
    """
    groups: list[Group] = []
    for metric in in_order(metrics):
        for part in _parts(metric, len(facts.calls)):
            last = groups[-1] if groups else ()
            fits = sum(other.tokens for other in last) + part.tokens <= answer_tokens
            if last and fits and all(other.metric is not metric for other in last):
                groups[-1] = (*last, part)
            else:
                groups.append((part,))
    return groups


def _parts(metric: JudgedMetric[Any], calls: int) -> Iterator[Part]:
    if not metric.calls_asked or not calls:
        yield Part(metric, calls=min(calls, MAX_CALLS_PER_PART))
        return
    for first in range(1, calls + 1, MAX_CALLS_PER_PART):
        last = min(calls, first + MAX_CALLS_PER_PART - 1)
        yield Part(metric, first, last, last - first + 1)


def question(group: Group, transcript: Transcript, input_tokens: int) -> Question[Any]:
    """Builds the question. The trace comes first, identical in every question about it."""
    prompt = transcript.prompt(input_tokens)
    facts = transcript.facts
    text = "\n".join((HOW_TO_ANSWER, _counted(group, facts, prompt.truncated), _texts_of(group)))
    # A high limit costs nothing, while a truncated answer costs another call.
    room = 2 * sum(part.tokens for part in group)
    if len(group) > 1:
        answer = _answer_of_several(tuple((part.metric.name, part.metric.answer) for part in group))
        return Question(
            stage="+".join(part.metric.name for part in group),
            trace=prompt.text,
            text=text,
            answer=answer,
            rule=_rule_of_several(group, answer, facts),
            check=lambda answer: _check_any(group, answer, transcript),
            answer_tokens=room,
            shared_by=len(group),
        )
    (part,) = group
    return Question(
        stage=part.metric.name,
        trace=prompt.text,
        text=text,
        answer=part.metric.answer,
        rule=None if part.metric.rule is None else lambda: within(part, part.metric.by_rule(facts)),
        check=lambda answer: check(part, answer, transcript),
        answer_tokens=room,
    )


def check(part: Part, answer: BaseModel, transcript: Transcript) -> None:
    """Raises ValueError for an answer that fits the schema but not this trace."""
    answer = within(part, answer)
    with_known_steps(answer, transcript)
    if part.first:
        wanted = range(part.first, part.last + 1)
        missing = sorted(set(wanted) - {entry.call for entry in getattr(answer, "calls", ())})
        if missing:
            raise ValueError(f"no verdict on call {', '.join(map(str, missing[:20]))}")


def part_of(part: Part, answer: BaseModel, transcript: Transcript) -> BaseModel | None:
    """This part of a shared answer; None if it does not validate."""
    part_answer: BaseModel | None = getattr(answer, part.metric.name, None)
    if part_answer is None:
        return None
    try:
        check(part, part_answer, transcript)
    except ValueError:
        return None
    return part_answer


def _check_any(group: Group, answer: BaseModel, transcript: Transcript) -> None:
    """Accepts an answer if at least one part validates; the other parts are asked alone."""
    if all(part_of(part, answer, transcript) is None for part in group):
        raise ValueError("none of its parts fits the schema and the steps of the record")


def _rule_of_several(
    group: Group, answer: type[BaseModel], facts: Facts
) -> Callable[[], BaseModel] | None:
    if not all(part.metric.offline for part in group):
        return None
    return lambda: answer(
        **{part.metric.name: within(part, part.metric.by_rule(facts)) for part in group}
    )


def within(part: Part, answer: A) -> A:
    """The answer without calls that belong to another part."""
    calls = getattr(answer, "calls", None)
    if not part.first or calls is None:
        return answer
    own = [entry for entry in calls if part.first <= entry.call <= part.last]
    kept = {"calls": own}
    if part.continues:
        kept |= {name: [] for name in _lists(answer) if name != "calls"}
    return answer.model_copy(update=kept)


def _lists(answer: BaseModel) -> list[str]:
    return [name for name in type(answer).model_fields if isinstance(getattr(answer, name), list)]


@lru_cache(maxsize=256)
def _answer_of_several(parts: tuple[tuple[str, type[BaseModel]], ...]) -> type[BaseModel]:
    """One property per metric.

    A part that does not validate becomes None, so that the others stay usable.
    """
    fields: dict[str, Any] = {
        name: (Annotated[answer, WrapValidator(_or_none), PlainSerializer(_dumped)], None)
        for name, answer in parts
    }
    return create_model("Answers", __base__=SeparateParts, **fields)


def _or_none(value: object, validated: Callable[[object], BaseModel]) -> BaseModel | None:
    try:
        return validated(value)
    except ValidationError:
        return None


def _dumped(part: BaseModel | None) -> dict[str, Any] | None:
    return None if part is None else part.model_dump(mode="json")


def _texts_of(group: Group) -> str:
    return titled([(part.metric.name, _text(part)) for part in group])


def _text(part: Part) -> str:
    question: str = part.metric.question
    return continued(question, part.first) if part.continues else question


def _counted(group: Group, facts: Facts, truncated: bool) -> str:
    """The counted facts about the calls of these parts, or about the first calls of the trace."""
    ranges = [(part.first, part.last) for part in group if part.first]
    first = min((low for low, _ in ranges), default=1)
    last = max((high for _, high in ranges), default=min(len(facts.calls), _MAX_CALLS_LISTED))
    # A truncated trace may lack the argument that a question asks about.
    return counted_facts(facts, range(first, last + 1), with_arguments=truncated and bool(ranges))


def alone(metric: JudgedMetric[Any], transcript: Transcript) -> list[Question[Any]]:
    """The questions of a metric that shares no call: one question, or several for a trace with many
    tool calls.
    """
    groups = plan([metric], transcript.facts, metric.tokens)
    return [question(group, transcript, PREVIEW_TOKENS) for group in groups]
