"""Inspects a run of the previous release that makes no progress.

A worker inspects runs of this release from outside; their workflows set no such timers.
"""

from collections.abc import Callable
from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.diagnostics import Diagnostics
    from core.temporal.pending import OpenBatches
    from workflows.policies import (
        FREQUENT_LOOKS,
        LOOK_GROWTH,
        LOOK_SHARE,
        LOOKING,
        MAX_WATCHED_HISTORY,
        MIN_TIMER_SECONDS,
        STILL_SECONDS,
    )


@dataclass
class LookBackoff:
    """Computes the seconds until the next inspection: about 35 inspections in a day without
    progress.

    `moved_at`: when a pair or batch of the run last ended, as far as known.
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
        """A run that is slow but makes progress is not inspected more often."""
        self.moved_at = now
        if stood_still:
            self.in_a_row = 0


class StallWatch:
    """`reason` is the result of the last inspection, until the run makes progress."""

    def __init__(self, under_way: Callable[[], OpenBatches], *, say: Callable[[], None]) -> None:
        self._under_way = under_way
        self._say = say
        self._pace = LookBackoff(workflow.time(), workflow.time())
        self.reason: str | None = None

    def moved(self) -> None:
        self._pace.moved(workflow.time(), stood_still=self.reason is not None)
        self.reason = None

    async def run(self) -> None:
        """Runs until cancellation, or until the history is too long."""
        while workflow.info().get_current_history_length() < MAX_WATCHED_HISTORY:
            left = self._pace.due_at(workflow.time()) - workflow.time()
            if left > 0:
                await workflow.sleep(
                    max(left, MIN_TIMER_SECONDS), summary="until the run counts as standing still"
                )
            else:
                await self._look()

    async def _look(self) -> None:
        moved_at = self._pace.moved_at
        try:
            reason = await workflow.execute_activity_method(
                Diagnostics.why_waiting, self._under_way(), **LOOKING
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            reason = self.reason  # The inspection found nothing new.
        self._pace.looked()
        if moved_at == self._pace.moved_at:
            self.reason = reason
            self._say()
