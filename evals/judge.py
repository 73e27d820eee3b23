"""What judges a trace: the protocol that LiteLLM, `offline/rules` and test doubles share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel

from core.usage import Usage

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

    `trace` is the fenced rendering: identical, and first, in every prompt about
    that trace, so that providers' prompt caches hit. `text` comes after it.
    `rule` answers the same schema from the trace's structure alone; None where a
    metric has no such rule, and then `offline/rules` cannot judge it.
    """

    stage: str
    trace: str
    text: str
    answer: type[A]
    rule: Callable[[], A] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Judgement(Generic[A]):
    answer: A
    usage: Usage


class Judge(Protocol):
    """One model, ready to be asked.

    `input_tokens` is how many tokens of trace one prompt may carry.
    """

    @property
    def model(self) -> str: ...

    @property
    def input_tokens(self) -> int: ...

    @property
    def parameters(self) -> str:
        """The settings that shape its answers, as text. Answers are remembered under it."""
        ...

    async def ask(self, question: Question[A]) -> Judgement[A]:
        """Raises `core.errors.JudgeError`: busy, failed for this pair, or unusable for the run."""
        ...


class Embedder(Protocol):
    @property
    def model(self) -> str: ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit-length vector a text, in order. Raises `core.errors.JudgeError`."""
        ...


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """One line of `/evaluations/providers`. Never carries a credential.

    `any_name`: it takes every name that says nothing of its provider.
    """

    key: str
    name: str
    description: str
    available: bool
    message: str
    any_name: bool = False


class Judges(Protocol):
    """Everything a worker can judge with."""

    @property
    def default_model(self) -> str: ...

    def judge(self, model: str) -> Judge:
        """Raises JudgeUnusable for a model this worker has no provider or credentials for."""
        ...

    def embedder(self) -> Embedder: ...

    def providers(self) -> list[ProviderStatus]: ...
