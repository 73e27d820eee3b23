"""The control law in simulated time, against providers that limit, refuse at random, or are
unavailable.
"""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from evals.judges.adaptive_limit import AdaptiveLimit
from evals.judges.circuit_breaker import CircuitBreaker

SLOTS = 100
LATENCY = 0.2
Provider = Callable[[float], int]
"""The status that the provider answers at a moment."""


@dataclass
class Simulation:
    """Slots that call without pause; a refused slot waits for a second."""

    provider: Provider
    latency: float = LATENCY
    limit: AdaptiveLimit = field(default_factory=AdaptiveLimit)
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    answers: list[tuple[float, int]] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        idle, open_calls, away = SLOTS, list[tuple[float, float, bool]](), list[float]()
        now = 0.0
        while now < seconds:
            while away and away[0] <= now:
                heapq.heappop(away)
                idle += 1
            while idle and self._delay(now, len(open_calls)) == 0:
                self.limit.began(now)
                heapq.heappush(open_calls, (now + self.latency, now, self.breaker.began()))
                idle -= 1
            moments = [call[0] for call in open_calls[:1]] + away[:1]
            if idle:
                moments.append(now + self._delay(now, len(open_calls)))
            now = max(now, min(moments))
            while open_calls and open_calls[0][0] <= now:
                _, began, probe = heapq.heappop(open_calls)
                self._answer(now, began, len(open_calls) + 1, probe=probe)
                if self.answers[-1][1] == 200:
                    idle += 1
                else:
                    heapq.heappush(away, now + 1.0)

    def _delay(self, now: float, in_flight: int) -> float:
        return max(self.breaker.delay(now), self.limit.delay(now, in_flight))

    def _answer(self, now: float, began: float, in_flight: int, *, probe: bool) -> None:
        status = self.provider(now)
        self.answers.append((now, status))
        if status in (200, 429) and self.breaker.answered():
            self.limit.recovered()
        if status == 200:
            self.limit.succeeded(now, began)
        elif status == 429:
            self.limit.refused(now, began, in_flight, 1.0)
        else:
            self.breaker.failed(now, probe=probe)

    def rate(self, status: int, first: float, last: float) -> float:
        """Answers of this kind per second between two moments."""
        return sum(s == status for at, s in self.answers if first <= at < last) / (last - first)


def a_limit_of(calls: int) -> Provider:
    """A provider that allows this many calls per second."""
    seen: dict[int, int] = {}

    def answer(now: float) -> int:
        seen[int(now)] = seen.get(int(now), 0) + 1
        return 200 if seen[int(now)] <= calls else 429

    return answer


def by_lot(share: float, status: int, seed: int = 4) -> Provider:
    luck = Random(seed)
    return lambda _: status if luck.random() < share else 200


@pytest.mark.parametrize("latency", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("allowed", [2, 5, 20, 50, 100, 200])
def test_a_limit_is_used_to_the_full_and_hardly_ever_hit(allowed: int, latency: float) -> None:
    simulation = Simulation(a_limit_of(allowed), latency)
    simulation.run(120)
    good, refused = simulation.rate(200, 10, 120), simulation.rate(429, 10, 120)
    assert good >= 0.9 * min(allowed, SLOTS / latency)
    assert refused <= 0.05 * (good + refused)


def test_concurrency_is_halved_by_a_rate_limit_and_grows_back() -> None:
    limit = AdaptiveLimit()
    assert limit.delay(0.0, 1000) == 0
    limit.refused(1.0, 0.5, 64, None)
    assert limit.delay(10.0, 31) == 0
    assert limit.delay(10.0, 32) > 1_000_000
    for n in range(32):
        limit.succeeded(10.0 + n / 32, 9.0)
    assert limit.delay(20.0, 33) == 0
    assert limit.delay(20.0, 40) > 1_000_000


def test_one_refusal_at_the_start_slows_nobody_down() -> None:
    answers = iter([500, 429])
    simulation = Simulation(lambda _: next(answers, 200))
    simulation.run(10)
    assert simulation.rate(200, 5, 10) >= 0.9 * SLOTS / LATENCY


def test_a_limit_that_is_lifted_is_noticed_within_minutes() -> None:
    small, large = a_limit_of(10), a_limit_of(100)
    simulation = Simulation(lambda now: (small if now < 60 else large)(now))
    simulation.run(300)
    assert simulation.rate(200, 270, 300) >= 80


@pytest.mark.parametrize("share", [0.05, 0.3])
@pytest.mark.parametrize("status", [429, 500])
def test_refusals_by_lot_slow_nobody_down(share: float, status: int) -> None:
    simulation = Simulation(by_lot(share, status))
    simulation.run(120)
    # Every refused slot waits for a second.
    undisturbed = SLOTS * (1 - share) / (LATENCY + share)
    assert simulation.rate(200, 10, 120) >= 0.8 * undisturbed


def test_a_provider_that_is_away_is_asked_little_and_at_full_speed_when_it_is_back() -> None:
    simulation = Simulation(lambda now: 503 if 10 <= now < 60 else 200)
    simulation.run(90)
    assert simulation.rate(503, 15, 60) <= 0.2
    assert simulation.rate(200, 75, 90) >= 0.9 * SLOTS / LATENCY


def test_an_outage_ends_with_one_call_at_once_and_doubles_from_there() -> None:
    limit = AdaptiveLimit()
    limit.recovered()
    assert limit.delay(0.0, 1) == math.inf
    for number in range(6):
        limit.succeeded(float(number), number - 0.5)
    assert limit.delay(10.0, 6) == 0


def test_the_circuit_opens_for_one_probe_at_a_time_and_ever_longer() -> None:
    breaker = CircuitBreaker()
    for _ in range(10):
        breaker.failed(0.0, probe=False)
    assert breaker.delay(0.0) == 1.0
    assert breaker.delay(1.0) == 0
    assert breaker.began()
    assert breaker.delay(1.5) > 0
    breaker.failed(2.0, probe=True)
    assert breaker.delay(2.0) == 2.0
    assert breaker.began()
    assert breaker.answered()
    assert breaker.delay(4.0) == 0
    assert not breaker.began()


def test_a_cancelled_probe_is_followed_by_another() -> None:
    breaker = CircuitBreaker()
    for _ in range(10):
        breaker.failed(0.0, probe=False)
    assert breaker.began()
    breaker.probe_abandoned()
    assert breaker.delay(1.0) == 0


@pytest.mark.slow
def test_luck_keeps_no_run_slow() -> None:
    """A useless cut may look useful; later the run gets back what both cuts have taken."""
    rates = []
    for seed in range(20):
        refusing = Simulation(by_lot(0.05, 429, seed))
        refusing.run(20)
        rates.append(refusing.rate(200, 0, 20))
    assert min(rates) > 0.7 * sorted(rates)[len(rates) // 2]
