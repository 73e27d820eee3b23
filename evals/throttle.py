"""How much a provider is asked at once: less when it says so, slowly more when it does not.

Concurrency is halved by a rate limit and grows back by a few calls a round trip
(additive increase, multiplicative decrease, as TCP does since RFC 5681). Halving
alone swings between too much and too little, so the rate at which calls succeeded
just before is kept to as well, from a little below it and very slowly upwards.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

GROWTH: Final = 4.0
"""Calls by which concurrency grows in one round trip of all that are open."""

CREEP: Final = 0.003
"""Share by which the pace grows in a second right after a cut; faster the longer it goes well."""
CREEP_DOUBLES_SECONDS: Final = 20.0

BELOW: Final = 0.95
REFUSALS: Final = 5
SUCCESSES: Final = 2
"""So many of both, lately, tell a rate; before that only concurrency is cut."""

WINDOW_SECONDS: Final = 3.0
"""What goodput is measured over; longer where a call itself takes long."""
LONGEST_HOLD: Final = 60.0
OUTAGE: Final = 5
"""So many failures in a row are no accident."""

REMEMBERED: Final = 200
SHORTEST_TRIAL: Final = 60
TRIAL_REFUSALS: Final = 3
"""After so many calls, or so many refusals, it can be told whether a cut has helped."""

TRUCE_SECONDS: Final = 30.0


@dataclass(slots=True)
class _Trial:
    """Whether asking less helps: refusals among calls begun before a cut and after it."""

    began: float
    limit: float
    rate: float | None
    before: list[bool]
    after: list[bool] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Too early to tell: had the cut not helped, twice as many would be refused by the end."""
        enough = max(SHORTEST_TRIAL, 2 * TRIAL_REFUSALS / max(self._share, 0.01))
        return len(self.after) < enough and sum(self.after) < TRIAL_REFUSALS

    @property
    def futile(self) -> bool:
        """Some providers refuse by lot, whatever they are asked; those are simply asked again."""
        refused = sum(self.after)
        return refused >= TRIAL_REFUSALS and refused / len(self.after) > self._share / 2

    @property
    def _share(self) -> float:
        return sum(self.before) / max(1, len(self.before))


class Pace:
    """The law, without its waiting. All moments are in seconds of one clock."""

    def __init__(self) -> None:
        self._limit = math.inf
        self._rate: float | None = None
        self._next = -math.inf
        self._held_until = -math.inf
        self._cut = -math.inf
        self._truce_until = -math.inf
        self._grown = 0.0
        self._in_a_row = 0
        self._latency = 0.0
        self._succeeded: deque[float] = deque(maxlen=4096)
        self._answers: deque[bool] = deque(maxlen=REMEMBERED)
        self._trial: _Trial | None = None

    def delay(self, now: float, in_flight: int) -> float:
        """Seconds until one more may begin; infinite while too many are open."""
        if in_flight and in_flight + 1 > self._limit:
            return math.inf
        return max(0.0, self._held_until - now, self._next - now if self._rate else 0.0)

    def began(self, now: float) -> None:
        if self._rate:
            self._next = max(now, self._next) + 1 / self._rate

    def succeeded(self, now: float, began: float) -> None:
        self._in_a_row = 0
        self._succeeded.append(now)
        self._latency = now - began
        self._count(False, began)
        if now >= self._truce_until:
            self._limit += GROWTH / self._limit
            self._grow(now)

    def refused(self, now: float, began: float, in_flight: int, retry_after: float | None) -> None:
        """The provider said that it is asked too often."""
        self._count(True, began)
        if now < self._truce_until:
            return
        self._in_a_row += 1
        if retry_after and (self._in_a_row > 1 or self._limit == 1):
            # One refusal costs one call; several say that the rest would be refused as well.
            self._held_until = max(self._held_until, now + min(retry_after, LONGEST_HOLD))
        if self._rate is None and self._trial is not None:
            self._keep_pace(now)
        if began <= self._cut or (self._trial is not None and self._trial.open):
            return
        if self._trial is not None and self._trial.futile:
            self._call_off(self._trial, now)
            return
        self._trial = _Trial(now, self._limit, self._rate, list(self._answers))
        self._halve(now, in_flight)
        self._keep_pace(now)

    def failed(self, now: float, began: float, in_flight: int) -> None:
        """No answer, or an error of the provider's own: one is an accident, many an outage."""
        self._in_a_row += 1
        if self._in_a_row >= OUTAGE and began > self._cut:
            self._halve(now, in_flight)

    def _keep_pace(self, now: float) -> None:
        goodput = self._goodput(now)
        told = self._rate is not None or sum(self._answers) >= REFUSALS
        if told and len(self._succeeded) >= SUCCESSES:
            self._rate = BELOW * goodput
            self._next = now + 1 / self._rate

    def _halve(self, now: float, in_flight: int) -> None:
        self._limit = max(1.0, min(self._limit, float(in_flight)) / 2)
        self._cut = self._grown = now

    def _grow(self, now: float) -> None:
        if self._rate is None or (self._trial is not None and any(self._trial.after)):
            return
        calm = (now - self._cut) / CREEP_DOUBLES_SECONDS
        self._rate *= 1 + CREEP * (1 + calm * calm) * min(1.0, now - self._grown)
        self._grown = now
        if self._rate > 10 * max(1.0, self._goodput(now)):
            # Something else has bounded it for a long time.
            self._rate = None

    def _goodput(self, now: float) -> float:
        window = max(WINDOW_SECONDS, 3 * self._latency)
        while self._succeeded and self._succeeded[0] < now - window:
            self._succeeded.popleft()
        if not self._succeeded:
            return 0.0
        return len(self._succeeded) / max(1.0, now - self._succeeded[0])

    def _count(self, refused: bool, began: float) -> None:
        self._answers.append(refused)
        trial = self._trial
        if trial is not None:
            (trial.after if began > trial.began else trial.before).append(refused)

    def _call_off(self, trial: _Trial, now: float) -> None:
        self._trial = None
        self._limit, self._rate = trial.limit, trial.rate
        self._held_until = self._next = -math.inf
        self._truce_until = now + TRUCE_SECONDS


class Turn:
    """One call of a provider, from its beginning on."""

    def __init__(self, throttle: "Throttle", began: float) -> None:
        self._throttle = throttle
        self.began = began

    def succeeded(self) -> None:
        self._throttle.pace.succeeded(self._throttle.now(), self.began)

    def refused(self, retry_after: float | None) -> None:
        throttle = self._throttle
        throttle.pace.refused(throttle.now(), self.began, throttle.in_flight, retry_after)

    def failed(self) -> None:
        throttle = self._throttle
        throttle.pace.failed(throttle.now(), self.began, throttle.in_flight)


class Throttle:
    """Lets calls of one provider begin in turn, as many and as often as it bears.

    Never more than `most` are open at once.
    """

    def __init__(self, most: int, now: Callable[[], float] = monotonic) -> None:
        self.now = now
        self.pace = Pace()
        self._most = most
        self.in_flight = 0
        self._turnstile = asyncio.Lock()
        self._left = asyncio.Event()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Waits until a call may begin. Tell the turn how it went before it ends."""
        async with self._turnstile:
            while (delay := self._delay()) > 0:
                self._left.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if math.isinf(delay) else delay):
                        await self._left.wait()
            began = self.now()
            self.pace.began(began)
            self.in_flight += 1
        try:
            yield Turn(self, began)
        finally:
            self.in_flight -= 1
            self._left.set()

    def _delay(self) -> float:
        if self.in_flight >= self._most:
            return math.inf
        return self.pace.delay(self.now(), self.in_flight)
