"""Learns from the outcomes of calls how many calls a model accepts.

All times are in seconds of one monotonic clock that the caller reads. The code here never waits, so
tests run it in simulated time.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar, Final

GROWTH: Final = 4.0
"""Growth of the limit, in calls per round trip."""

MIN_REFUSALS: Final = 5
MIN_SUCCESSES: Final = 2
"""Minimum numbers of recent refusals and successes for an estimate of a rate; with fewer, only
concurrency is cut.
"""

MAX_HOLD_SECONDS: Final = 60.0
TRUCE_SECONDS: Final = 30.0
MAX_ANSWERS_KEPT: Final = 200


class Pace:
    """A rate in calls per second, near the rate of successes just before a cut.

    A limit on concurrency alone oscillates: each halving leaves capacity unused until the limit has
    grown back. The pace starts at `SHARE_OF_GOODPUT` of the measured goodput and grows very slowly,
    faster the longer no call is refused, so it settles just below the provider's limit. The pace is
    dropped when something else has limited the rate for long.
    """

    SHARE_OF_GOODPUT: Final = 0.95
    GROWTH_PER_SECOND: Final = 0.003
    GROWTH_DOUBLES_SECONDS: Final = 20.0
    WINDOW_SECONDS: Final = 3.0
    """Goodput is measured over this window, or over three round trips if they take longer."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self._next = -math.inf
        self._grown = -math.inf
        self._latency = 0.0
        self._succeeded: deque[float] = deque(maxlen=4096)

    def delay(self, now: float) -> float:
        return max(0.0, self._next - now) if self.rate else 0.0

    def began(self, now: float) -> None:
        if self.rate:
            self._next = max(now, self._next) + 1 / self.rate

    def succeeded(self, now: float, began: float) -> None:
        self._succeeded.append(now)
        self._latency = now - began

    def measure(self, now: float) -> None:
        """Sets the rate from the goodput, if enough calls succeeded."""
        goodput = self.goodput(now)
        if len(self._succeeded) >= MIN_SUCCESSES:
            self.rate = self.SHARE_OF_GOODPUT * goodput
            self._next = now + 1 / self.rate
            self._grown = now

    def grow(self, now: float, last_cut: float) -> None:
        if self.rate is None:
            return
        calm = (now - last_cut) / self.GROWTH_DOUBLES_SECONDS
        self.rate *= 1 + self.GROWTH_PER_SECOND * (1 + calm * calm) * min(1.0, now - self._grown)
        self._grown = now
        if self.rate > 10 * max(1.0, self.goodput(now)):
            self.rate = None

    def restore(self, rate: float | None) -> None:
        self.rate = rate
        self._next = -math.inf

    def goodput(self, now: float) -> float:
        """Recent successes per second."""
        window = max(self.WINDOW_SECONDS, 3 * self._latency)
        while self._succeeded and self._succeeded[0] < now - window:
            self._succeeded.popleft()
        if not self._succeeded:
            return 0.0
        return len(self._succeeded) / max(1.0, now - self._succeeded[0])


@dataclass(slots=True)
class FutilityTrial:
    """Decides whether a cut helped: compares refusals among calls that began before and after the
    cut.

    Some providers refuse at random, at any rate of calls. Cuts do not help there, so a cut that
    does not halve the share of refusals is undone, and refused calls are repeated.
    """

    MIN_CALLS: ClassVar = 60
    MIN_REFUSALS: ClassVar = 3
    MIN_STANDARD_ERRORS: ClassVar = 3.0

    began: float
    limit: float
    rate: float | None
    before: list[bool]
    after: list[bool] = field(default_factory=list)

    def count(self, refused: bool, began: float) -> None:
        (self.after if began > self.began else self.before).append(refused)

    @property
    def open(self) -> bool:
        """Whether the trial continues.

        It lasts until a useless cut would have shown twice `MIN_REFUSALS` refusals.
        """
        enough = max(self.MIN_CALLS, 2 * self.MIN_REFUSALS / max(self._share, 0.01))
        return len(self.after) < enough and sum(self.after) < self.MIN_REFUSALS

    @property
    def futile(self) -> bool:
        refused = sum(self.after)
        return refused >= self.MIN_REFUSALS and refused / len(self.after) > self._share / 2

    @property
    def helped(self) -> bool:
        """Whether the share of refusals fell by more than luck explains.

        The difference of two proportions, in standard errors of their common share.
        """
        calls = len(self.before) + len(self.after)
        share = (sum(self.before) + sum(self.after)) / max(1, calls)
        per_call = 1 / max(1, len(self.before)) + 1 / max(1, len(self.after))
        error = math.sqrt(share * (1 - share) * per_call)
        fall = self._share - sum(self.after) / max(1, len(self.after))
        return fall > self.MIN_STANDARD_ERRORS * error

    @property
    def _share(self) -> float:
        return sum(self.before) / max(1, len(self.before))


class AdaptiveLimit:
    """Limits concurrency by additive increase, multiplicative decrease (AIMD), as in RFC 5681.

    A rate limit halves the limit, at most once per round trip; each round trip of successes adds
    `GROWTH` calls. After an outage the limit starts at one and doubles per round trip (slow start)
    up to its earlier value. `Pace` bounds the rate as well, and `FutilityTrial` undoes cuts that do
    not help.
    """

    def __init__(self) -> None:
        self.pace = Pace()
        self._limit = math.inf
        self._slow_start_until = 0.0
        self._held_until = -math.inf
        self._last_cut = -math.inf
        self._truce_until = -math.inf
        self._refused_in_a_row = 0
        self._answers: deque[bool] = deque(maxlen=MAX_ANSWERS_KEPT)
        self._trial: FutilityTrial | None = None

    def delay(self, now: float, in_flight: int) -> float:
        """Seconds until the next call may begin; infinite while too many calls are open."""
        if in_flight and in_flight + 1 > self._limit:
            return math.inf
        return max(self.hold(now), self.pace.delay(now))

    def hold(self, now: float) -> float:
        """Remaining seconds of the provider's Retry-After."""
        return max(0.0, self._held_until - now)

    @property
    def most(self) -> float:
        """The maximum number of open calls; infinite without a limit."""
        return self._limit

    @property
    def is_cut(self) -> bool:
        """Whether calls wait because of a rate limit, not because of the number of permits."""
        return self.pace.rate is not None or self._limit < math.inf

    def began(self, now: float) -> None:
        self.pace.began(now)

    def succeeded(self, now: float, began: float) -> None:
        self._refused_in_a_row = 0
        self.pace.succeeded(now, began)
        self._count(False, began)
        if now < self._truce_until:
            return
        self._limit += 1.0 if self._limit < self._slow_start_until else GROWTH / self._limit
        if self._trial is None or not any(self._trial.after):
            self.pace.grow(now, self._last_cut)

    def refused(self, now: float, began: float, in_flight: int, retry_after: float | None) -> None:
        """The provider reported a rate limit."""
        self._count(True, began)
        if now < self._truce_until:
            return
        self._refused_in_a_row += 1
        if retry_after and (self._refused_in_a_row > 1 or self._limit == 1):
            # A single refusal costs one call; several refusals predict that the next calls would be
            # refused too.
            self._held_until = max(self._held_until, now + min(retry_after, MAX_HOLD_SECONDS))
        trial = self._trial
        if self.pace.rate is None and trial is not None:
            self._keep_pace(now)
        if began <= self._last_cut or (trial is not None and trial.open):
            return
        if trial is not None and trial.futile:
            self._undo(trial, now)
            return
        earlier = (self._limit, self.pace.rate)
        if trial is not None and not trial.helped:
            # If this cut turns out to be useless, the one before was useless too.
            earlier = (trial.limit, trial.rate)
        self._trial = FutilityTrial(now, *earlier, list(self._answers))
        self._limit = max(1.0, min(self._limit, float(in_flight)) / 2)
        self._slow_start_until = 0.0
        self._last_cut = now
        self._keep_pace(now)

    def recovered(self) -> None:
        """Restarts with one call at a time after an outage."""
        self._slow_start_until = max(self._limit, self._slow_start_until)
        self._limit = 1.0

    def _keep_pace(self, now: float) -> None:
        if self.pace.rate is not None or sum(self._answers) >= MIN_REFUSALS:
            self.pace.measure(now)

    def _count(self, refused: bool, began: float) -> None:
        self._answers.append(refused)
        if self._trial is not None:
            self._trial.count(refused, began)

    def _undo(self, trial: FutilityTrial, now: float) -> None:
        self._trial = None
        self._limit = trial.limit
        self.pace.restore(trial.rate)
        self._held_until = -math.inf
        self._truce_until = now + TRUCE_SECONDS
