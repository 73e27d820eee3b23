"""Metrics and their outcomes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, JsonValue

from core.json_codec import canonical
from core.trace_model import Trace
from evals.findings import Finding
from evals.wording import wording

if TYPE_CHECKING:
    from evals.case import TraceCase
    from evals.signals import SessionCase
    from evals.transcript.facts import Facts

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Scored:
    """`value` is in [0, 1], 1 is best. `details` become score metadata."""

    value: float
    reason: str
    details: Mapping[str, JsonValue] = field(default_factory=dict)
    findings: Sequence[Finding] = ()


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """The trace has nothing for the metric to measure, so the score has no number."""

    reason: str
    details: Mapping[str, JsonValue] = field(default_factory=dict)
    findings: Sequence[Finding] = ()


Outcome = Scored | NotApplicable


@dataclass(frozen=True, slots=True)
class Example:
    """A small trace with a possible answer of a judge; serves as prompt preview and as test
    case.

    `expected` is the score of this answer. `vectors` are the embeddings of the texts that an
    embedding metric compares.
    """

    trace: Trace
    expected: float
    answer: BaseModel | None = None
    earlier: tuple[Trace, ...] = ()
    vectors: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class TraceMetric(ABC):
    """A question about one trace.

    A score at or above `threshold` is a success; `threshold_reason` justifies the threshold.
    `formula` is the published formula in words. `outputs` describes the metric's own metadata.
    `window` is the number of earlier traces of the session that the metric compares with. Only
    session runs use a metric that is not `listed`.
    """

    name: str
    about: str
    formula: str
    outputs: Mapping[str, str]
    threshold: float
    threshold_reason: str
    example: Example
    listed: bool = True
    window: int = 0

    @property
    @abstractmethod
    def version(self) -> str:
        """The version.

        It changes when scores may change: with any word that a judge reads, the schema of the
        answer, or the formula.
        """

    @property
    def judged(self) -> bool:
        return False

    @property
    def offline(self) -> bool:
        """Whether `offline/rules` can judge the metric."""
        return True


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingMetric(TraceMetric):
    """A metric that is computed from embeddings, without a judge."""

    evaluate: "Callable[[TraceCase], Coroutine[Any, Any, Outcome]]"

    @cached_property
    def version(self) -> str:
        return _digest(self.name, self.formula)


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedMetric(TraceMetric, Generic[A]):
    """One question to a judge, answered by a list of findings; code computes the score.

    `question` follows the trace, the rules that all questions share, and the counted facts.
    `calls_asked` is True if `answer` has a list `calls` with one entry per tool call; a trace with
    many calls is then asked about in several parts. `inapplicable` returns the reason why a trace
    cannot be measured, before a judge is asked, or None. `score` is the formula. `rule` answers the
    same schema from the structure of the trace alone, in linear time; without a rule,
    `offline/rules` cannot judge the metric. `rule_about` describes the rule in words. `tokens` and
    `tokens_per_call` give the length of an answer: the tokens of an answer with many findings on a
    trace without tool calls, and the tokens that each call adds.
    """

    question: str
    answer: type[A]
    score: "Callable[[A, Facts], Outcome]"
    inapplicable: "Callable[[Facts], str | None] | None" = None
    rule: "Callable[[Facts], A] | None" = None
    rule_about: str = ""
    calls_asked: bool = False
    tokens: int = 700
    tokens_per_call: int = 0

    @property
    def judged(self) -> bool:
        return True

    @property
    def offline(self) -> bool:
        return self.rule is not None

    def by_rule(self, facts: "Facts") -> A:
        """The rule's answer. Only for a metric that is `offline`."""
        if self.rule is None:
            raise TypeError(f"{self.name} has no rule.")
        return self.rule(facts)

    @cached_property
    def version(self) -> str:
        return _digest(
            self.name, self.formula, self.question, self.answer.model_json_schema(), wording()
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SessionMetric:
    """A metric computed from the signals of a session's traces, without a judge."""

    name: str
    about: str
    formula: str
    outputs: Mapping[str, str]
    threshold: float
    threshold_reason: str
    evaluate: "Callable[[SessionCase], Outcome]"
    example: "SessionCase"
    expected: float

    @cached_property
    def version(self) -> str:
        return _digest(self.name, self.formula)


def _digest(*parts: JsonValue) -> str:
    return sha256(canonical([*parts])).hexdigest()[:12]
