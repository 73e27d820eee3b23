"""Deletes rows past their age, project by project in turns."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.retention.sweeping import Retention
    from core.retention import SweepOutcome, SweepTurn
    from core.temporal.client import RETENTION_WORKFLOW
    from workflows.patches import LOOKS_AGAIN
    from workflows.policies import BOOKKEEPING, SWEEPING

MAX_WAITING: Final = 1_000
"""Projects that are remembered for another turn. The next look finds the others again."""

FAILED: Final = "RetentionFailed"


@dataclass
class SweepState:
    """What an execution passes to its continuation.

    `after`: the last project of the pages read so far. `waiting`: the next turns of projects that
    have had one. `failed` counts projects whose turn failed since the last look began.
    `longest_seconds`: the longest time that one transaction took. `looked_at`: when the last look
    at all projects ended; `look_again_seconds` later the next one begins.
    """

    after: UUID | None = None
    all_found: bool = False
    waiting: list[SweepTurn] = field(default_factory=list)
    deleted: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    longest_seconds: float = 0.0
    turns_per_execution: int = 500
    looked_at: datetime | None = None
    look_again_seconds: float = 3600.0


@workflow.defn(name=RETENTION_WORKFLOW)
class RetentionWorkflow:
    """Every project with expired rows gets one turn before any project gets another one.

    A sweep that lasts longer than an hour looks at all projects again, because no other sweep
    begins while this one is open.
    """

    def __init__(self) -> None:
        self._state = SweepState()
        self._turns = 0

    @workflow.run
    async def run(self, state: SweepState | None = None) -> SweepOutcome:
        self._state = state or self._state
        await self._visit_pages()
        while self._state.waiting:
            if self._is_time_to_look_again():
                self._state.after, self._state.all_found = None, False
                # A project that failed gets another turn now, and may fail again.
                self._state.failed = 0
                await self._visit_pages()
            self._continue_if_long()
            turn = self._state.waiting.pop(0)
            await self._take(turn)
        outcome = SweepOutcome(self._state.deleted, self._state.failed, self._state.longest_seconds)
        await workflow.execute_activity_method(Retention.end_sweep, outcome, **BOOKKEEPING)
        if outcome.failed:
            # The schedule then shows that the last sweep failed.
            raise ApplicationError(
                f"The expired rows of {outcome.failed} projects could not be deleted; the "
                "worker's log has the errors.",
                type=FAILED,
                non_retryable=True,
            )
        return outcome

    @workflow.query
    def progress(self) -> dict[str, int]:
        """The numbers of rows deleted so far, by kind."""
        return self._state.deleted

    def _is_time_to_look_again(self) -> bool:
        looked_at = self._state.looked_at
        if looked_at is not None:
            passed = (workflow.now() - looked_at).total_seconds()
            if passed < self._state.look_again_seconds:
                return False
        return workflow.patched(LOOKS_AGAIN)

    async def _visit_pages(self) -> None:
        """Gives a turn to each project with expired rows that does not wait for one."""
        while not self._state.all_found:
            await self._visit_page()

    async def _visit_page(self) -> None:
        self._continue_if_long()
        page = await workflow.execute_activity_method(
            Retention.find_expired, self._state.after, **BOOKKEEPING
        )
        waiting = {turn.project_id for turn in self._state.waiting}
        for project_id in page.project_ids:
            if project_id not in waiting:
                await self._take(SweepTurn(project_id))
        self._state.after = page.after
        self._state.all_found = page.after is None
        if self._state.all_found:
            self._state.looked_at = workflow.now()

    async def _take(self, turn: SweepTurn) -> None:
        self._turns += 1
        try:
            swept = await workflow.execute_activity_method(
                Retention.delete_expired, turn, **SWEEPING
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            self._state.failed += 1
            return
        self._state.longest_seconds = max(self._state.longest_seconds, swept.longest_seconds)
        for kind, count in swept.deleted.items():
            self._state.deleted[kind] = self._state.deleted.get(kind, 0) + count
        if swept.place is not None and len(self._state.waiting) < MAX_WAITING:
            self._state.waiting.append(SweepTurn(turn.project_id, swept.place))
        workflow.set_current_details(_details(self._state.deleted))

    def _continue_if_long(self) -> None:
        if (
            self._turns >= self._state.turns_per_execution
            or workflow.info().is_continue_as_new_suggested()
        ):
            workflow.continue_as_new(self._state)


def _details(deleted: dict[str, int]) -> str:
    counts = ", ".join(f"{count:,} {kind}" for kind, count in deleted.items())
    return f"Deleted so far: {counts or 'nothing'}."
