"""Rate limits, for requests per key and failed attempts per address."""

import time
from collections.abc import Callable, Hashable

from core.errors import RateLimited

_MAX_BUCKETS = 10_000


class RateLimit:
    """A token bucket per key: gains `per_second` tokens, and holds up to `burst`.

    Each API process counts separately, so a key gets the limit once per process.
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
        self._full_at: dict[Hashable, float] = {}
        """The time at which each bucket will be full again; a missing bucket is full."""

    def take(self, key: Hashable) -> None:
        """Takes one token. Raises RateLimited."""
        wait = self.wait(key)
        if wait:
            raise RateLimited(
                f"This API key may send {self._per_second:g} requests per second.", retry_after=wait
            )
        self.count(key)

    def wait(self, key: Hashable) -> float:
        """Seconds until the bucket has a token; 0 if it has one."""
        if self._per_second is None:
            return 0.0
        wait = self._after(key) - self._clock() - self._burst / self._per_second
        return wait if wait > 1e-9 else 0.0

    def count(self, key: Hashable) -> None:
        """Takes one token, even from an empty bucket."""
        if self._per_second is None:
            return
        now = self._clock()
        self._full_at[key] = min(self._after(key), now + (self._burst + 1) / self._per_second)
        if len(self._full_at) > _MAX_BUCKETS:
            self._full_at = {one: at for one, at in self._full_at.items() if at > now}

    def _after(self, key: Hashable) -> float:
        """The time at which the bucket would be full again if a token were taken now."""
        now = self._clock()
        assert self._per_second is not None
        return max(self._full_at.get(key, now), now) + 1 / self._per_second
