"""Pauses runs at a budget, and resumes them."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlmodel import col

from core import clock
from core.db.database import Reader, Writer
from core.db.tables import BudgetAccount, EvalRun, Project
from core.errors import Conflict, Invalid
from core.ids import PausedBy, ProjectId
from core.money import units
from core.queries import budget_accounts, run_rows

MAX_RESUMED: Final = 200


async def pause(db: Writer, run_id: UUID, by: PausedBy) -> None:
    """No effect if the run is over, cancelled or already paused."""
    await db.execute(
        update(EvalRun)
        .where(col(EvalRun.id) == run_id, col(EvalRun.paused_at).is_(None), *run_rows.OPEN)
        .values(paused_at=clock.now(), paused_by=by, resume_requested_at=None)
    )


async def resume(
    db: Writer,
    project_id: ProjectId,
    run_id: UUID,
    *,
    max_cost_usd: float | None,
    max_tokens: int | None,
) -> EvalRun:
    """Raises the budget, if a new one is given, and resumes a paused run.

    The caller must signal the run's workflow afterwards. Raises NotFound, Conflict, and Invalid for
    a budget that leaves no room for the next call.
    """
    account = await _locked_account(db, run_id)
    row = await run_rows.lock(db, project_id, run_id)
    _check_open(row, raised=max_cost_usd is not None or max_tokens is not None)
    for name, given in (("max_cost_usd", max_cost_usd), ("max_tokens", max_tokens)):
        if given is not None and (account is None or getattr(row, name) is None):
            raise Invalid(f"This run has no {name}; a budget is given when a run is created.")
    if account is not None:
        limit_cost = account.limit_cost if max_cost_usd is None else units(max_cost_usd)
        limit_tokens = account.limit_tokens if max_tokens is None else max_tokens
        paused = row.paused_by is PausedBy.RUN
        _check_room("max_cost_usd", limit_cost, account.committed_cost,
                    account.refused_cost if paused else 0)  # fmt: skip
        _check_room("max_tokens", limit_tokens, account.committed_tokens,
                    account.refused_tokens if paused else 0)  # fmt: skip
        await budget_accounts.set_limits(db, run_id, cost_usd=max_cost_usd, tokens=max_tokens)
    row.max_cost_usd = row.max_cost_usd if max_cost_usd is None else max_cost_usd
    row.max_tokens = row.max_tokens if max_tokens is None else max_tokens
    if row.paused_at is not None:
        row.paused_at, row.paused_by = None, None
        row.resume_requested_at = clock.now()
    await db.flush()
    return row


def _check_open(row: EvalRun, *, raised: bool) -> None:
    if row.status.terminal or row.cancel_requested_at is not None:
        raise Conflict(
            "This run has ended or is being cancelled; retry it to judge the remaining pairs."
        )
    if row.paused_at is None and not raised:
        raise Conflict("This run is not paused; send a budget to raise the run's budget.")


def _check_room(name: str, limit: int | None, committed: int, more: int) -> None:
    if limit is None or committed + more <= limit:
        return
    if name == "max_cost_usd":
        # Rounded up to a cent.
        needed = f"{-(-(committed + more) * 100 // units(1)) / 100:.2f}"
    else:
        needed = str(committed + more)
    raise Invalid(
        f"{name} must be at least {needed}: so much is spent or needed for the next call."
    )


async def _locked_account(db: Writer, run_id: UUID) -> BudgetAccount | None:
    """Lock the row of the run afterwards: reservations lock in the same order."""
    row: BudgetAccount | None = await db.scalar(
        select(BudgetAccount).where(col(BudgetAccount.id) == run_id).with_for_update()
    )
    return row


async def resume_within_budget(db: Writer, *, only: UUID | None = None) -> None:
    """Resumes runs that paused at the budget of their project, if it has room for another call.

    `only`: the runs of this project. The caller must signal their workflows afterwards.
    """
    month = budget_accounts.month_of(clock.now())
    paused = await db.scalars(
        select(EvalRun)
        .where(
            *run_rows.PAUSED,
            col(EvalRun.paused_by) == PausedBy.PROJECT,
            *([] if only is None else [col(EvalRun.project_id) == only]),
        )
        .order_by(col(EvalRun.paused_at))
        .limit(MAX_RESUMED)
    )
    has_room: dict[UUID, bool] = {}
    for row in paused:
        if row.project_id not in has_room:
            has_room[row.project_id] = await _month_has_room(db, row.project_id, month)
        if has_room[row.project_id]:
            row.paused_at, row.paused_by = None, None
            row.resume_requested_at = clock.now()
    await db.flush()


async def _month_has_room(db: Reader, project_id: UUID, month: str) -> bool:
    """Whether the month's budget has room for a call of the size that it last refused."""
    project = await db.get(Project, project_id)
    account = await db.get(BudgetAccount, budget_accounts.month_id(project_id, month))
    if project is None or project.monthly_budget_usd is None or account is None:
        # A month without an account has had no call yet.
        return True
    return account.committed_cost + account.refused_cost <= units(project.monthly_budget_usd)


async def any_to_resume(db: Reader) -> bool:
    """Whether any run is paused at a project's budget, or was resumed without a signal yet."""
    rows = await db.execute(
        select(col(EvalRun.id))
        .where(
            col(EvalRun.completed_at).is_(None),
            or_(
                col(EvalRun.paused_by) == PausedBy.PROJECT,
                col(EvalRun.resume_requested_at).is_not(None),
            ),
        )
        .limit(1)
    )
    return rows.first() is not None


async def awaiting_signal(db: Reader, *, limit: int = MAX_RESUMED) -> Sequence[EvalRun]:
    """Resumed runs whose workflow may not have got the signal."""
    rows = await db.scalars(
        select(EvalRun)
        .where(col(EvalRun.completed_at).is_(None), col(EvalRun.resume_requested_at).is_not(None))
        .limit(limit)
    )
    return rows.all()


async def mark_signaled(db: Writer, run_id: UUID) -> None:
    await db.execute(
        update(EvalRun).where(col(EvalRun.id) == run_id).values(resume_requested_at=None)
    )
