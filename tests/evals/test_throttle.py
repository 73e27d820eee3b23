"""The law in simulated time, against providers that limit, refuse by lot, or are away."""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from evals.throttle import Pace, Throttle

SLOTS = 100
LATENCY = 0.2
Provider = Callable[[float], int]
"""The status it answers at a moment."""


@dataclass
class Simulation:
    """Slots that always want to call; one that is refused stays away for a second."""

    provider: Provider
    latency: float = LATENCY
    pace: Pace = field(default_factory=Pace)
    answers: list[tuple[float, int]] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        idle, open_calls, away = SLOTS, list[tuple[float, float]](), list[float]()
        now = 0.0
        while now < seconds:
            while away and away[0] <= now:
                heapq.heappop(away)
                idle += 1
            while idle and self.pace.delay(now, len(open_calls)) == 0:
                self.pace.began(now)
                heapq.heappush(open_calls, (now + self.latency, now))
                idle -= 1
            moments = [call[0] for call in open_calls[:1]] + away[:1]
            if idle:
                moments.append(now + self.pace.delay(now, len(open_calls)))
            now = max(now, min(moments))
            while open_calls and open_calls[0][0] <= now:
                _, began = heapq.heappop(open_calls)
                self._answer(now, began, len(open_calls) + 1)
                if self.answers[-1][1] == 200:
                    idle += 1
                else:
                    heapq.heappush(away, now + 1.0)

    def _answer(self, now: float, began: float, in_flight: int) -> None:
        status = self.provider(now)
        self.answers.append((now, status))
        if status == 200:
            self.pace.succeeded(now, began)
        elif status == 429:
            self.pace.refused(now, began, in_flight, 1.0)
        else:
            self.pace.failed(now, began, in_flight)

    def rate(self, status: int, first: float, last: float) -> float:
        """Such answers a second between two moments."""
        return sum(s == status for at, s in self.answers if first <= at < last) / (last - first)


def a_limit_of(calls: int) -> Provider:
    """So many calls in each second of its clock."""
    seen: dict[int, int] = {}

    def answer(now: float) -> int:
        seen[int(now)] = seen.get(int(now), 0) + 1
        return 200 if seen[int(now)] <= calls else 429

    return answer


def by_lot(share: float, status: int) -> Provider:
    luck = Random(4)
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
    pace = Pace()
    assert pace.delay(0.0, 1000) == 0
    pace.refused(1.0, 0.5, 64, None)
    assert pace.delay(10.0, 31) == 0
    assert pace.delay(10.0, 32) > 1_000_000
    for n in range(32):
        pace.succeeded(10.0 + n / 32, 9.0)
    assert pace.delay(20.0, 33) == 0
    assert pace.delay(20.0, 40) > 1_000_000


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
    # Every refusal keeps its slot away for a second.
    undisturbed = SLOTS * (1 - share) / (LATENCY + share)
    assert simulation.rate(200, 10, 120) >= 0.8 * undisturbed


def test_a_provider_that_is_away_is_asked_little_and_at_full_speed_when_it_is_back() -> None:
    simulation = Simulation(lambda now: 503 if 10 <= now < 60 else 200)
    simulation.run(90)
    assert simulation.rate(503, 15, 60) <= 10
    assert simulation.rate(200, 75, 90) >= 0.9 * SLOTS / LATENCY


async def test_turns_come_in_order_and_a_waiter_may_leave() -> None:
    throttle = Throttle(most=100)
    async with throttle.turn() as first:
        first.refused(None)
        taken: list[int] = []

        async def take(number: int) -> None:
            async with throttle.turn():
                taken.append(number)

        waiting = [asyncio.create_task(take(number)) for number in range(3)]
        await asyncio.sleep(0)
        assert taken == []
        waiting[1].cancel()
    throttle.pace = Pace()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert taken == [0, 2]


async def test_no_more_are_open_than_the_worker_may_have() -> None:
    throttle = Throttle(most=2)
    peak = 0

    async def call() -> None:
        nonlocal peak
        async with throttle.turn() as turn:
            peak = max(peak, throttle.in_flight)
            await asyncio.sleep(0)
            turn.succeeded()

    await asyncio.gather(*(call() for _ in range(7)))
    assert peak == 2
    assert throttle.in_flight == 0
