"""Notices that a run stands still, and has a worker find out why."""

from collections.abc import Callable
from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.waiting import UnderWay, Waiting
    from workflows.policies import (
        FREQUENT_LOOKS,
        LOOK_GROWTH,
        LOOK_SHARE,
        LOOKING,
        MOST_LOOKED_AT,
        SHORTEST_WAIT,
        STILL_SECONDS,
    )


@dataclass
class Pace:
    """When to look next, in seconds. A run that stands still for a day is looked at some 35 times.

    `moved_at`: when anything of the run was last known to end.
    """

    began_at: float
    moved_at: float
    looks: int = 0
    in_a_row: int = 0

    def due_at(self, now: float) -> float:
        pause = STILL_SECONDS * LOOK_GROWTH**self.in_a_row
        if self.looks >= FREQUENT_LOOKS:
            pause = max(pause, (now - self.began_at) * LOOK_SHARE)
        return self.moved_at + pause

    def looked(self) -> None:
        self.looks += 1
        self.in_a_row += 1

    def moved(self, now: float, *, stood_still: bool) -> None:
        """A run that is slow without standing still is looked at no more often for it."""
        self.moved_at = now
        if stood_still:
            self.in_a_row = 0


class Watch:
    """`reason` is what the last look found, until the run moves on."""

    def __init__(self, under_way: Callable[[], UnderWay], *, say: Callable[[], None]) -> None:
        self._under_way = under_way
        self._say = say
        self._pace = Pace(workflow.time(), workflow.time())
        self.reason: str | None = None

    def moved(self) -> None:
        self._pace.moved(workflow.time(), stood_still=self.reason is not None)
        self.reason = None

    async def run(self) -> None:
        """Until it is cancelled, or the history has grown enough."""
        while workflow.info().get_current_history_length() < MOST_LOOKED_AT:
            left = self._pace.due_at(workflow.time()) - workflow.time()
            if left > 0:
                await workflow.sleep(
                    max(left, SHORTEST_WAIT), summary="until the run counts as standing still"
                )
            else:
                await self._look()

    async def _look(self) -> None:
        moved_at = self._pace.moved_at
        try:
            reason = await workflow.execute_activity_method(
                Waiting.why_waiting, self._under_way(), **LOOKING
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            reason = self.reason  # Nothing new is known.
        self._pace.looked()
        if moved_at == self._pace.moved_at:
            self.reason = reason
            self._say()
