"""Writes the row of a new run, and decides whether the run may begin at once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from core.db.database import Writer
from core.db.group_commit import GroupCommit
from core.ids import RunId
from core.queries import audit, run_admission, run_idempotency, run_sampling
from core.queries.audit import Action
from core.queries.run_idempotency import IdempotentRequest
from core.run_spec import OpenRunLimits

if TYPE_CHECKING:
    from core.db.tables import EvalRun

MAX_STARTING: Final = 1
"""Requests that may start a workflow at the same time. In a burst, the start of a workflow takes
longer than the other parts of the request. Other runs start about 0.1 s after their requests.
"""

CreateRow = Callable[[Writer], "Awaitable[EvalRun]"]


class KeyTaken(Exception):
    """A concurrent request with the same idempotency key came first."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A new run.

    `admitted`: the run may begin at once. `audited`: the entry of the request is written.
    `deferred`: the run could begin, but too many requests start runs.
    """

    row: "EvalRun"
    admitted: bool = False
    audited: bool = False
    deferred: bool = False


class RunCreation:
    """Writes rows in the order of the calls, so that runs wait in the order of their requests.

    `admit_later` is called when a run could begin but has to wait, because the requests that start
    runs are as many as allowed.
    """

    def __init__(
        self, writes: GroupCommit, limits: OpenRunLimits, admit_later: Callable[[], None]
    ) -> None:
        self._writes = writes
        self._limits = limits
        self._admit_later = admit_later
        self._starting = 0

    @asynccontextmanager
    async def create(
        self,
        create: CreateRow,
        request: IdempotentRequest | None,
        namespace: str,
        action: Action | None = None,
    ) -> AsyncIterator[Opened]:
        """Writes the row that `create` returns, and claims the idempotency key of the request.

        The block starts the workflow of an admitted run.

        `namespace`: the Temporal namespace in which the workflow of the run will start.
        `action`: the entry for the audit log, whose target is the run unless it names one. It is
        written with a run that has to wait; the start of any other run may still fail.

        Raises KeyTaken and the errors of `create`.
        """
        may_start = self._starting < MAX_STARTING
        self._starting += may_start

        async def open_run(db: Writer) -> Opened:
            row = await create(db)
            await run_sampling.freeze_named(db, row)
            admitted = may_start and await run_admission.admit_at_once(
                db, row, self._limits, namespace=namespace
            )
            if request and not await run_idempotency.claim(db, request, RunId(row.id)):
                raise KeyTaken
            if admitted:
                return Opened(row, admitted=True)
            deferred = not may_start and await run_admission.may_begin(db, row, self._limits)
            if action is not None:
                await audit.record(db, replace(action, target=action.target or str(row.id)))
            return Opened(row, audited=action is not None, deferred=deferred)

        try:
            opened = await self._writes.write(open_run)
            if opened.deferred:
                self._admit_later()
            yield opened
        finally:
            self._starting -= may_start
