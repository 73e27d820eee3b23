"""Permits for judge calls: per model, under the ceiling of its provider.

A model that is limited, stalled or failing does not block other models of its provider, and does
not keep activity slots: a caller without a permit soon gets `NoPermit`, with the time at which a
permit is expected.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from time import monotonic
from typing import Final

from core import clock
from core.errors import NoPermit, PermitWait
from core.provider_status import ThrottleState, ThrottleStatus
from evals.judges.adaptive_limit import AdaptiveLimit
from evals.judges.circuit_breaker import CircuitBreaker

MAX_WAIT_SECONDS: Final = 5.0
"""Maximum time that an activity holds its slot without an open call."""

MIN_LINE: Final = 10
"""This many callers, or a quarter of the ceiling, may wait for a model with stalled calls."""

MAX_RETURNS_PER_SECOND: Final = 10.0
"""While a model gives no answers, this many refused callers per second may return.

Each return costs the worker and Temporal as much as a judged pair.
"""

MIN_RETRY_SECONDS: Final = 0.5
MAX_RETRY_SECONDS: Final = 60.0

STALLED_FACTOR: Final = 4.0
MIN_STALLED_SECONDS: Final = 1.0
UNKNOWN_STALLED_SECONDS: Final = 5.0
"""A call that takes longer than `STALLED_FACTOR` usual latencies counts as stalled, but not before
the minimum. The third constant is for a model that has not answered yet.
"""


class Permit:
    """The right to make one call. Report the outcome before the block ends."""

    def __init__(self, throttle: "Throttle", began: float, *, probe: bool) -> None:
        self._throttle = throttle
        self.began = began
        self.is_probe = probe

    def succeeded(self) -> None:
        throttle, now = self._throttle, self._throttle.now()
        self.answered()
        throttle.latency = _smoothed(throttle.latency, now - self.began)
        throttle.limit.succeeded(now, self.began)

    def refused(self, retry_after: float | None) -> None:
        """The provider reported a rate limit."""
        throttle = self._throttle
        self.answered()
        throttle.limit.refused(throttle.now(), self.began, throttle.in_flight, retry_after)

    def answered(self) -> None:
        """The provider answered, or refused only this request, so there is no outage."""
        if self._throttle.breaker.answered():
            self._throttle.limit.recovered()

    def failed(self) -> None:
        """No answer arrived, or the provider reported its own error."""
        self._throttle.breaker.failed(self._throttle.now(), probe=self.is_probe)


class Ceiling:
    """Limits the open calls at one provider, over all of its models.

    A stalled call counts against its own model only, and a model that has never answered gets half
    of the ceiling, so a stalled model cannot block the others.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        # Holds only models with open or waiting calls, because a provider may serve thousands of
        # models.
        self._throttles: dict[Throttle, None] = {}

    def enter(self, throttle: "Throttle") -> None:
        self._throttles[throttle] = None

    def leave(self, throttle: "Throttle") -> None:
        self._throttles.pop(throttle, None)

    def delay(self, throttle: "Throttle", now: float) -> float:
        """Seconds until the next call may begin, or until the next check makes sense."""
        if throttle.in_flight >= self.most:
            return math.inf
        if throttle.latency is None and throttle.lively(now) >= max(1, self.most // 2):
            return throttle.next_stall(now)
        if sum(one.lively(now) for one in self._throttles) >= self.most:
            return min(one.next_stall(now) for one in self._throttles)
        return 0.0

    def wake(self) -> None:
        """Lets the first waiter of each model check again, beginning with the models that have the
        fewest open calls.
        """
        for throttle in sorted(self._throttles, key=lambda one: one.in_flight):
            throttle.changed.set()


class Throttle:
    """Rate control of one model: lets calls begin in order, at most as many and as often as the
    model accepts.
    """

    def __init__(
        self,
        ceiling: Ceiling,
        *,
        provider: str = "",
        name: str = "the judge",
        now: Callable[[], float] = monotonic,
    ) -> None:
        """`provider` is the provider's key; `name` is the name of the model in messages."""
        self.now = now
        self.limit = AdaptiveLimit()
        self.breaker = CircuitBreaker()
        self.changed = asyncio.Event()
        self.latency: float | None = None
        self._provider = provider
        self._name = name
        self._ceiling = ceiling
        self._open: dict[Permit, None] = {}
        self._turnstile = asyncio.Lock()
        self._waiting = 0
        self._booked = -math.inf

    @property
    def in_flight(self) -> int:
        return len(self._open)

    def lively(self, now: float) -> int:
        """Open calls that have not stalled."""
        stalled = 0
        for permit in self._open:
            if now - permit.began < self._stalled_seconds:
                break
            stalled += 1
        return len(self._open) - stalled

    def next_stall(self, now: float) -> float:
        """Seconds until the oldest lively call counts as stalled; infinite without a lively
        call.
        """
        for permit in self._open:
            left = permit.began + self._stalled_seconds - now
            if left > 0:
                return left
        return math.inf

    def status(self, model: str) -> ThrottleStatus | None:
        """None without open or waiting calls, and without a limit that delays calls."""
        delay = self._delay()
        if self.breaker.is_open:
            state = ThrottleState.DOWN
        elif self.limit.is_cut:
            state = ThrottleState.RATE_LIMITED
        elif delay > 0:
            state = ThrottleState.FULL
        else:
            state = ThrottleState.OPEN
        if state is ThrottleState.OPEN and not self._open and not self._waiting:
            return None
        soon = 0 < delay <= MAX_RETRY_SECONDS
        rate = self.limit.pace.rate
        return ThrottleStatus(
            provider=self._provider,
            model=model,
            state=state,
            open_calls=self.in_flight,
            waiting=self._waiting,
            per_second=None if rate is None else round(rate, 2),
            until=clock.now() + timedelta(seconds=delay) if soon else None,
            limit=round(min(self._ceiling.most, self.limit.most), 1),
        )

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Permit]:
        """Waits until a call may begin, at most `MAX_WAIT_SECONDS`. Raises NoPermit."""
        self._ceiling.enter(self)
        try:
            permit = await self._wait()
            try:
                yield permit
            finally:
                del self._open[permit]
                if permit.is_probe:
                    self.breaker.probe_abandoned()
                self._ceiling.wake()
        finally:
            if not self._open and not self._waiting:
                self._ceiling.leave(self)

    async def _wait(self) -> Permit:
        self._refuse_hopeless()
        self._waiting += 1
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS), self._turnstile:
                while (delay := self._delay()) > 0:
                    self._refuse_closed()
                    self.changed.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(None if math.isinf(delay) else delay):
                            await self.changed.wait()
                return self._begin()
        except TimeoutError:
            raise self._no_permit() from None
        finally:
            self._waiting -= 1

    def _begin(self) -> Permit:
        began = self.now()
        self.limit.began(began)
        permit = Permit(self, began, probe=self.breaker.began())
        # Counts the call before releasing the lock, so that the next waiter sees it as open.
        self._open[permit] = None
        return permit

    def _delay(self) -> float:
        now = self.now()
        return max(
            self.breaker.delay(now),
            self._ceiling.delay(self, now),
            self.limit.delay(now, self.in_flight),
        )

    def _refuse_hopeless(self) -> None:
        """Raises NoPermit if the wait is known to be too long, or if too many callers wait."""
        self._refuse_closed()
        now = self.now()
        rate = self.limit.pace.goodput(now)
        if rate and self.limit.is_cut:
            longest = rate * MAX_WAIT_SECONDS
        elif self.lively(now) < self.in_flight:
            longest = max(MIN_LINE, self._ceiling.most // 4, rate * MAX_WAIT_SECONDS)
        else:
            return
        if self._waiting >= max(1, longest):
            raise self._no_permit()

    def _refuse_closed(self) -> None:
        now = self.now()
        if self.breaker.delay(now) > 0 or self.limit.hold(now) > MAX_WAIT_SECONDS:
            raise self._no_permit()

    def _no_permit(self) -> NoPermit:
        now = self.now()
        if self.breaker.is_open:
            cause, told = PermitWait.OUTAGE, "only fails at present; one call at a time probes it"
        elif self.limit.is_cut:
            cause, told = PermitWait.RATE_LIMIT, "limits the rate of calls; this one waits its turn"
        else:
            cause, told = PermitWait.CONCURRENCY, "has as many calls open as it may have"
        return NoPermit(
            f"{self._name} {told}.",
            provider=self._provider,
            retry_after=max(MIN_RETRY_SECONDS, self._book(now)),
            cause=cause,
        )

    def _book(self, now: float) -> float:
        """Seconds until a permit after all callers that wait or were refused."""
        rate = self.limit.pace.goodput(now) or MAX_RETURNS_PER_SECOND
        closed = max(self.limit.hold(now), self.breaker.delay(now))
        first = now + closed + self._waiting / rate
        self._booked = min(max(first, self._booked + 1 / rate), now + MAX_RETRY_SECONDS)
        return self._booked - now

    @property
    def _stalled_seconds(self) -> float:
        if self.latency is None:
            return UNKNOWN_STALLED_SECONDS
        return max(MIN_STALLED_SECONDS, STALLED_FACTOR * self.latency)


def _smoothed(known: float | None, latest: float) -> float:
    return latest if known is None else 0.9 * known + 0.1 * latest
