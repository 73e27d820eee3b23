"""How often one key may ask."""

import time
from collections.abc import Callable
from uuid import UUID

from core.errors import RateLimited

_SWEEP_AT = 10_000


class RateLimit:
    """A bucket of tokens for each key: `per_second` flow in, `burst` is what it holds.

    It is this process's own: with several API processes each allows as much.
    """

    def __init__(
        self,
        per_second: float | None,
        burst: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_second
        self._burst = max(1.0, float(burst or per_second or 1))
        self._clock = clock
        self._full_at: dict[UUID, float] = {}
        """When each bucket will be full again; one that is missing is full."""

    def take(self, key_id: UUID) -> None:
        """Counts a request. Raises RateLimited."""
        if self._per_second is None:
            return
        now = self._clock()
        full_at = max(self._full_at.get(key_id, now), now) + 1 / self._per_second
        wait = full_at - now - self._burst / self._per_second
        if wait > 1e-9:
            raise RateLimited(
                f"This API key may ask {self._per_second:g} times a second.", retry_after=wait
            )
        self._full_at[key_id] = full_at
        if len(self._full_at) > _SWEEP_AT:
            self._full_at = {id: at for id, at in self._full_at.items() if at > now}
