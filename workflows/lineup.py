"""In which order a batch judges its pairs."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.inputs import Pair

FEW_TARGETS: Final = 20
"""So few are judged sooner all at once, and hardly dearer."""


class Lineup:
    """One metric of each target ahead of its others, which then find what it has asked.

    Metrics share stages. Judged at the same time by different workers, each would
    ask them; one after the other, the second finds them in the store.
    """

    def __init__(self, targets: Sequence[Sequence[Pair]]) -> None:
        self._waiting = deque(targets)
        self._ready: deque[Pair] = deque()
        self._behind: dict[Pair, Sequence[Pair]] = {}

    @property
    def has_next(self) -> bool:
        """Whether `take` answers at once, with a pair."""
        return bool(self._ready or self._waiting)

    async def take(self) -> Pair | None:
        """The next pair; None when there is none left and none to come."""
        await workflow.wait_condition(lambda: self.has_next or not self._behind)
        if self._ready:
            return self._ready.popleft()
        if not self._waiting:
            return None
        first, *others = self._waiting.popleft()
        self._behind[first] = others
        return first

    def done(self, pair: Pair) -> None:
        self._ready.extend(self._behind.pop(pair, ()))


class AllAtOnce:
    """Target by target, as they come."""

    def __init__(self, targets: Sequence[Sequence[Pair]]) -> None:
        self._pairs = deque(pair for pairs in targets for pair in pairs)

    @property
    def has_next(self) -> bool:
        return bool(self._pairs)

    async def take(self) -> Pair | None:
        return self._pairs.popleft() if self._pairs else None

    def done(self, pair: Pair) -> None:
        pass


def line_up(targets: Sequence[Sequence[Pair]]) -> Lineup | AllAtOnce:
    many = len(targets) > FEW_TARGETS and any(len(pairs) > 1 for pairs in targets)
    if many and workflow.patched("one-metric-ahead"):
        return Lineup(targets)
    return AllAtOnce(targets)
