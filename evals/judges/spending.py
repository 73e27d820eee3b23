"""The protocol of paying for the calls of a question, which the budget of a run implements."""

from contextlib import AbstractAsyncContextManager, nullcontext
from functools import lru_cache
from typing import Final, Protocol

from pydantic import BaseModel

from core.json_codec import canonical
from core.usage import Usage

_LATE: Final = frozenset({408, 499, 502, 504, 524})
"""Statuses of a gateway that gave up waiting; the model behind it may have answered and billed."""


class Hold(Protocol):
    """The reservation for one call.

    If the block ends without `begin`, the reservation is returned. If it ends after `begin` without
    `settle` or `void`, the reservation counts as spent, because nobody knows whether the call was
    billed.
    """

    def begin(self) -> None:
        """Records that the call is sent, so that it may be billed."""
        ...

    def settle(self, billed: Usage) -> None: ...

    def void(self) -> None:
        """Records that the provider refused the call, and therefore bills nothing."""
        ...


class Spending(Protocol):
    def hold(self, *, prompt_bytes: int, answer_tokens: int) -> AbstractAsyncContextManager[Hold]:
        """Raises BudgetReached, and NoPermit while open calls may use up the rest of the budget."""
        ...


def is_unbilled(status: int | None) -> bool:
    """Whether a provider that answers with this status has certainly billed nothing."""
    return status is not None and status not in _LATE


@lru_cache(maxsize=256)
def schema_bytes(answer: type[BaseModel]) -> int:
    """Size of the schema, which providers bill as part of the prompt."""
    return len(canonical(answer.model_json_schema()))


class _Unlimited:
    def begin(self) -> None:
        pass

    def settle(self, billed: Usage) -> None:
        pass

    def void(self) -> None:
        pass


UNLIMITED: Final[AbstractAsyncContextManager[Hold]] = nullcontext(_Unlimited())
"""The spending of calls without a budget."""
