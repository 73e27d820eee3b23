"""Judge calls that several callers share, so that each call is paid for once."""

from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from core.errors import JudgeError
from core.single_flight import SingleFlight
from core.usage import Usage

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class _Outcome(Generic[Value]):
    value: Value | None = None
    error: JudgeError | None = None
    paid_for: bool = False


class SharedCalls(Generic[Key, Value]):
    """Calls in flight, shared by key as in `SingleFlight`.

    The first caller that gets the outcome pays for the call. The caller that began the call may
    have been cancelled.
    """

    def __init__(self) -> None:
        self._calls: SingleFlight[Key, _Outcome[Any]] = SingleFlight()

    async def join(
        self, key: Key, ask: Callable[[], Coroutine[Any, Any, Value]]
    ) -> tuple[Value, bool]:
        """The result of the call, and whether this caller pays for it.

        Raises the JudgeError of the call. Only the error of the paying caller has usage.
        """
        outcome: _Outcome[Value] = await self._calls.join(key, lambda: _outcome(ask))
        pays, outcome.paid_for = not outcome.paid_for, True
        error = outcome.error
        if error is not None:
            raise (error if pays else error.having_spent(Usage())) from None
        return outcome.value, pays  # type: ignore[return-value]  # set if there is no error


async def _outcome(ask: Callable[[], Coroutine[Any, Any, Value]]) -> _Outcome[Value]:
    try:
        return _Outcome(await ask())
    except JudgeError as error:
        return _Outcome(error=error)
