"""The protocol of judges. LiteLLM's models, `offline/rules` and test doubles implement it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel

from core.provider_status import ProviderStatus, ThrottleStatus
from core.usage import Usage
from evals.judges.spending import Spending

__all__ = [
    "A",
    "Embedder",
    "Judge",
    "Judgement",
    "Judges",
    "ProviderStatus",
    "Question",
    "Usage",
]

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Question(Generic[A]):
    """One structured question about one trace.

    `trace` is the fenced rendering. It comes first and is identical in every prompt about the
    trace, so that prompt caches of providers hit. `text` follows it. `rule` answers the same schema
    from the structure of the trace; without a rule, `offline/rules` cannot judge the metric.
    `check` raises ValueError for an answer that fits the schema but not this trace; such an answer
    does not validate. `answer_tokens` is enough room for the answer, 0 if unknown. `spending` pays
    for the calls, if a budget limits them. `shared_by` is the number of metrics in this call, and
    `place` the number of the caller's metric among them: a judge with a cache gives each caller its
    share of the cost.
    """

    stage: str
    trace: str
    text: str
    answer: type[A]
    rule: Callable[[], A] | None = field(default=None, compare=False)
    check: Callable[[A], None] | None = field(default=None, compare=False)
    answer_tokens: int = 0
    spending: Spending | None = field(default=None, compare=False)
    shared_by: int = 1
    place: int = 0

    @property
    def prompt(self) -> str:
        """The prompt as it is sent to a model."""
        return f"{self.trace}\n\n{self.text}"


@dataclass(frozen=True, slots=True)
class Judgement(Generic[A]):
    answer: A
    usage: Usage


class Judge(Protocol):
    """One model, ready for questions.

    `input_tokens`: maximum tokens of a trace in a prompt. `answer_tokens`: maximum tokens of an
    answer.
    """

    @property
    def model(self) -> str: ...

    @property
    def input_tokens(self) -> int: ...

    @property
    def answer_tokens(self) -> int: ...

    @property
    def parameters(self) -> str:
        """The settings that shape the model's answers, as text.

        They are part of the key of stored answers.
        """
        ...

    async def ask(self, question: Question[A]) -> Judgement[A]:
        """Raises BudgetReached, and `core.errors.JudgeError`: busy, failed for this pair, or
        unusable for the run.

        Waits at most a few seconds for a permit, then raises NoPermit.
        """
        ...


class Embedder(Protocol):
    @property
    def model(self) -> str: ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of unit length per text, in order. Raises `core.errors.JudgeError`."""
        ...


class Judges(Protocol):
    """All judges of a worker."""

    @property
    def default_model(self) -> str: ...

    def judge(self, model: str) -> Judge:
        """Raises JudgeUnusable for a model without a provider or credentials in this worker."""
        ...

    def embedder(self) -> Embedder: ...

    def providers(self) -> list[ProviderStatus]: ...

    def throttles(self) -> list[ThrottleStatus]:
        """The states of models with open or waiting calls."""
        ...
