"""The usage of one question so far: calls, cost and time, and the room for its answer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from core.usage import Usage

MIN_ANSWER_TOKENS: Final = 512
"""With less room than this many tokens no answer is complete, so a shorter prompt is needed."""


@dataclass(slots=True)
class Bill:
    """Adds up the calls of one question, including calls that end in an error.

    `seconds_left` counts only calls, not the wait for a permit. `most_tokens`: the longest answer
    that this prompt leaves room for, once known. `counted` is called with the usage of each call.
    """

    seconds_left: float
    counted: Callable[[Usage], None] = lambda _: None
    usage: Usage = field(default_factory=Usage)
    most_tokens: int | None = None

    def add(self, call: Usage) -> None:
        """Adds a call. Each call after the first one counts as a repair."""
        self.counted(call)
        self.usage += call.as_repairs() if self.usage.calls else call

    def fits(self, most_tokens: int | None) -> bool:
        """Whether an answer of this many tokens may fit."""
        if most_tokens is None or most_tokens < MIN_ANSWER_TOKENS:
            return False
        if self.most_tokens is not None and most_tokens >= self.most_tokens:
            return False
        self.most_tokens = most_tokens
        return True
