"""Distinguishes a provider that refuses a whole run from one that refuses single targets."""

import time
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from cachetools import LRUCache

MIN_REFUSALS: Final = 5
MIN_TARGETS: Final = 3
MIN_SECONDS: Final = 5.0
"""Minimum duration of a streak: a gateway may refuse all calls for a second while it starts."""

_MAX_RUNS: Final = 1_000


@dataclass(slots=True)
class _Streak:
    """Refusals without an answer between them."""

    began: float
    refusals: int = 0
    targets: set[str] = field(default_factory=set)


class Refusals:
    """Streaks of refusals per run of this worker."""

    def __init__(self) -> None:
        self._streaks: LRUCache[UUID, _Streak] = LRUCache(_MAX_RUNS)
        self._answered: LRUCache[UUID, None] = LRUCache(_MAX_RUNS)

    def refused(self, run_id: UUID, target_id: str, *, unmistakable: bool = False) -> bool:
        """Counts a refusal, and returns whether the run should stop.

        `unmistakable`: the provider says that it refuses every call. One target is not enough even
        then, because a firewall may say the same about one text.
        """
        now = time.monotonic()
        streak = self._streaks.get(run_id) or _Streak(now)
        streak.refusals += 1
        if len(streak.targets) < MIN_TARGETS:
            streak.targets.add(target_id)
        self._streaks[run_id] = streak
        if len(streak.targets) < MIN_TARGETS:
            return False
        lasts = streak.refusals >= MIN_REFUSALS and now - streak.began >= MIN_SECONDS
        return unmistakable or lasts

    def answered(self, run_id: UUID) -> None:
        """Ends the streak. Only an answer of the judge counts: a pair that needs none proves
        nothing about the provider.
        """
        self._streaks.pop(run_id, None)
        self._answered[run_id] = None

    def has_answered(self, run_id: UUID) -> bool:
        """Whether the judge has answered any question of the run on this worker."""
        return run_id in self._answered
