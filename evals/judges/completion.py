"""One call of a model: the protocol of both clients, LiteLLM's and Assay's own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from core.usage import Usage
from evals.judges.request_shape import RequestShape

MAX_ANSWER_BYTES: Final = 4_000_000
"""Reading stops at this size. No question needs a tenth of it."""

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """`finish` is OpenAI's finish_reason. `cost_usd` is None if the price is unknown."""

    text: str = ""
    finish: str = "stop"
    refusal: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None

    @property
    def usage(self) -> Usage:
        return Usage(
            calls=1,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost_usd=self.cost_usd,
        )


class CallAbandoned(Exception):
    """The call failed finally. The message completes the sentence `<model> …`."""


class AnswerTooLarge(CallAbandoned):
    """Final, because another attempt would download as much again."""

    def __init__(self) -> None:
        super().__init__(f"answered with more than {MAX_ANSWER_BYTES // 1_000_000} MB")


class ForbiddenHost(CallAbandoned):
    def __init__(self) -> None:
        super().__init__("was not asked: the call led to a host that is not its provider's")


Complete = Callable[[list[Message], RequestShape, type[BaseModel]], Awaitable[Reply]]
"""Calls the model once for an answer of this type. Raises Fault and CallAbandoned."""
