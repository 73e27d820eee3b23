"""Writes the row of a new run, and decides whether the run may begin at once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.db.database import Writer
from core.db.group_commit import GroupCommit
from core.ids import RunId
from core.queries import audit, run_admission, run_idempotency, run_sampling
from core.queries.audit import Action
from core.queries.run_idempotency import IdempotentRequest
from core.run_spec import OpenRunLimits

if TYPE_CHECKING:
    from core.db.tables import EvalRun

CreateRow = Callable[[Writer], "Awaitable[EvalRun]"]


class KeyTaken(Exception):
    """A concurrent request with the same idempotency key came first."""


@dataclass(frozen=True, slots=True)
class Opened:
    """`admitted`: the run may begin at once. `audited`: the entry of the request is written."""

    row: "EvalRun"
    admitted: bool
    audited: bool = False


@dataclass(frozen=True, slots=True)
class RunCreation:
    """Writes rows in the order of the calls, so that runs wait in the order of their requests."""

    writes: GroupCommit
    limits: OpenRunLimits

    async def create(
        self,
        create: CreateRow,
        request: IdempotentRequest | None,
        namespace: str,
        action: Action | None = None,
    ) -> Opened:
        """Writes the row that `create` returns, and claims the idempotency key of the request.

        `namespace`: the Temporal namespace in which the workflow of the run will start.
        `action`: the entry for the audit log, whose target is the run unless it names one. It is
        written with a run that has to wait; the start of any other run may still fail.

        Raises KeyTaken and the errors of `create`.
        """

        async def open_run(db: Writer) -> Opened:
            row = await create(db)
            await run_sampling.freeze_named(db, row)
            admitted = await run_admission.admit_at_once(db, row, self.limits, namespace=namespace)
            if request and not await run_idempotency.claim(db, request, RunId(row.id)):
                raise KeyTaken
            if admitted or action is None:
                return Opened(row, admitted)
            await audit.record(db, replace(action, target=action.target or str(row.id)))
            return Opened(row, admitted, audited=True)

        return await self.writes.write(open_run)
