"""What a metric is, and what it may answer."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, Field, JsonValue

from core.jsontext import canonical
from core.records import Trace
from evals.fencing import PREAMBLE

if TYPE_CHECKING:
    from evals.case import TraceCase
    from evals.facts import Facts
    from evals.signals import SessionCase

A = TypeVar("A", bound=BaseModel)

DEFAULT_THRESHOLD = 0.5

Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""A score a judge may give. Anything else is an answer that does not validate."""


@dataclass(frozen=True, slots=True)
class Scored:
    """`value` is in [0, 1], 1 is best. `details` become score metadata."""

    value: float
    reason: str
    details: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """There is nothing in this trace for the metric to measure: no number, not even a good one."""

    reason: str
    details: Mapping[str, JsonValue] = field(default_factory=dict)


Outcome = Scored | NotApplicable


@dataclass(frozen=True, slots=True)
class Stage(Generic[A]):
    """One structured call to the judge.

    `prompt` follows the trace. A `{name}` in it is where `case.ask(stage, name=…)`
    puts that input, fenced. `rule` answers the same schema from the structure of
    the trace alone; without it `offline/rules` cannot judge the metric.
    `rule_about` says the rule in words, for the reference.
    """

    name: str
    prompt: str
    answer: type[A]
    rule: "Callable[[Facts], A] | None" = None
    rule_about: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A small trace with the answers a judge might give: the prompt preview and a test case.

    `expected` is the score those answers lead to. `vectors` are what an embedder
    gives for the texts of a metric that compares embeddings.
    """

    trace: Trace
    expected: float
    answers: Mapping[str, BaseModel] = field(default_factory=dict)
    earlier: tuple[Trace, ...] = ()
    vectors: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class TraceMetric:
    """A question about one trace.

    `window` is how many earlier traces of its session it compares with. A metric
    that is not `listed` serves session runs only.
    """

    name: str
    about: str
    formula: str
    outputs: Mapping[str, str]
    evaluate: "Callable[[TraceCase], Coroutine[Any, Any, Outcome]]"
    example: Example
    stages: tuple[Stage[Any], ...] = ()
    listed: bool = True
    window: int = 0
    threshold: float = DEFAULT_THRESHOLD

    @property
    def judged(self) -> bool:
        return bool(self.stages)

    @property
    def offline(self) -> bool:
        """Whether `offline/rules` can judge it."""
        return all(stage.rule is not None for stage in self.stages)

    @cached_property
    def version(self) -> str:
        """Changes whenever a prompt, an answer schema or the formula does."""
        asked: list[JsonValue] = [
            [stage.name, stage.prompt, stage.answer.model_json_schema()] for stage in self.stages
        ]
        preamble = PREAMBLE if asked else ""
        return sha256(canonical([self.name, self.formula, preamble, asked])).hexdigest()[:12]


@dataclass(frozen=True)
class SessionMetric:
    """Arithmetic over the signals of a session's traces: it never asks a judge itself."""

    name: str
    about: str
    formula: str
    outputs: Mapping[str, str]
    evaluate: "Callable[[SessionCase], Outcome]"
    example: "SessionCase"
    expected: float
    threshold: float = DEFAULT_THRESHOLD

    @cached_property
    def version(self) -> str:
        return sha256(canonical([self.name, self.formula])).hexdigest()[:12]
