"""What a worker process knows about its own service, without asking anybody."""

import time
from collections.abc import Callable
from typing import Final

from core.queries.workers import POLLED_WITHIN_SECONDS, REPORTED_WITHIN_SECONDS


class ServingState:
    """Whether a worker serves: the database takes its reports, and Temporal sees it polling.

    `now` returns seconds of a clock that nobody sets.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._recorded: float | None = None
        self._seen: float | None = None

    def recorded(self) -> None:
        """The database took a report of this worker."""
        self._recorded = self._now()

    def seen_polling(self) -> None:
        """Temporal named this worker among those that poll."""
        self._seen = self._now()

    def stopped(self) -> None:
        self._recorded = self._seen = None

    def fault(self) -> str | None:
        """Why the worker takes no work; None while it serves."""
        if self._recorded is None:
            return "The worker starts or stops."
        if (silent := self._now() - self._recorded) > REPORTED_WITHIN_SECONDS:
            return f"The database has not taken a report of this worker for {silent:.0f} seconds."
        if self._seen is None:
            return "Temporal has not seen this worker poll yet."
        if (unseen := self._now() - self._seen) > POLLED_WITHIN_SECONDS:
            return f"Temporal has not seen this worker poll for {unseen:.0f} seconds."
        return None


OWN_STATE: Final = ServingState()
"""Of this process."""
