"""Opening budget accounts, and changing their limits."""

from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from sqlalchemy import func, select, update
from sqlmodel import col

from core import clock
from core.db import dialect
from core.db.database import Writer
from core.db.tables import BudgetAccount, Project, Score, metadata
from core.ids import ScoreSource, TargetType
from core.money import units
from core.queries import kept_usage

_ACCOUNT: Final = metadata.tables["budget_account"]


def month_of(moment: datetime) -> str:
    """The month of the moment in UTC, such as `2026-11`."""
    return f"{moment:%Y-%m}"


def begin_of(month: str) -> datetime:
    return datetime.fromisoformat(f"{month}-01T00:00:00+00:00")


def end_of(month: str) -> datetime:
    begin = begin_of(month)
    years, months = divmod(begin.month, 12)
    return begin.replace(year=begin.year + years, month=months + 1)


def month_id(project_id: UUID, month: str) -> UUID:
    return uuid5(project_id, month)


async def open_for_run(
    db: Writer, run_id: UUID, project_id: UUID, *, cost_usd: float | None, tokens: int | None
) -> None:
    """Opens the account of a new run, in the transaction that creates the run."""
    account = BudgetAccount(
        id=run_id,
        project_id=project_id,
        run_id=run_id,
        limit_cost=_limit(cost_usd),
        limit_tokens=tokens,
    )
    db.add(account)
    await db.flush()


async def lock(db: Writer, run_id: UUID) -> None:
    """Locks the account.

    Lock the row of the run afterwards: reservations lock in the same order.
    """
    account = select(col(BudgetAccount.id)).where(col(BudgetAccount.id) == run_id)
    await db.execute(account.with_for_update())


async def open_for_month(db: Writer, project_id: UUID, month: str) -> None:
    """Opens the account with the cost of the month's scores so far, deleted ones included.

    Leaves an existing account unchanged.
    """
    project = await db.get(Project, project_id)
    budget = project.monthly_budget_usd if project else None
    spent = await db.scalar(
        select(func.coalesce(func.sum(col(Score.cost_usd)), 0.0)).where(
            col(Score.project_id) == project_id,
            # Names both types, so that the index by target type and time applies.
            col(Score.target_type).in_(list(TargetType)),
            col(Score.created_at) >= begin_of(month),
            col(Score.created_at) < end_of(month),
            col(Score.source) == ScoreSource.AUTOMATED,
        )
    )
    deleted = await kept_usage.spent(db, project_id, month)
    account = BudgetAccount(
        id=month_id(project_id, month),
        project_id=project_id,
        limit_cost=_limit(budget),
        committed_cost=units(float(spent or 0.0) + deleted),
    )
    await db.execute(dialect.insert_missing(db, _ACCOUNT), account.model_dump())


async def set_month_limit(db: Writer, project_id: UUID, budget_usd: float | None) -> None:
    """Sets the limit of the current month.

    Later months begin with the budget in the project's row.
    """
    month = month_of(clock.now())
    account_id = month_id(project_id, month)
    if budget_usd is None:
        # Without a budget no call is counted. A later budget opens the account again from the
        # scores.
        await db.execute(_ACCOUNT.delete().where(_ACCOUNT.c.id == account_id))
        return
    await open_for_month(db, project_id, month)
    await set_limits(db, account_id, cost_usd=budget_usd)


async def set_limits(
    db: Writer, account_id: UUID, *, cost_usd: float | None = None, tokens: int | None = None
) -> None:
    """Changes the limits that are not None."""
    given = {"limit_cost": _limit(cost_usd), "limit_tokens": tokens}
    changed = {name: limit for name, limit in given.items() if limit is not None}
    if changed:
        await db.execute(
            update(BudgetAccount).where(col(BudgetAccount.id) == account_id).values(**changed)
        )


def _limit(cost_usd: float | None) -> int | None:
    return None if cost_usd is None else units(cost_usd)
