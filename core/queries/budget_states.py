"""Reads what budgets have spent, for the pages and sentences about runs and projects."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlmodel import col

from core import clock
from core.db import sql_functions
from core.db.database import Reader
from core.db.tables import BudgetAccount, BudgetHold, EvalRun, Score
from core.ids import ProjectId
from core.money import usd
from core.queries import run_pairs, run_rows
from core.queries.budgets import Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """Costs are in US dollars.

    `open_…` is reserved for open calls; `spent_…` does not include it.
    """

    max_cost_usd: float | None
    max_tokens: int | None
    spent_usd: float
    spent_tokens: int
    open_usd: float
    open_tokens: int
    uncertain_usd: float
    overbilled_usd: float
    overbilled_tokens: int
    refused_usd: float
    refused_tokens: int


async def states(db: Reader, account_ids: Collection[UUID]) -> dict[UUID, BudgetState]:
    """The states of the existing accounts, by id."""
    rows = await db.scalars(select(BudgetAccount).where(col(BudgetAccount.id).in_(account_ids)))
    holds = await db.execute(
        select(
            col(BudgetHold.account_id),
            func.sum(col(BudgetHold.cost)),
            func.sum(col(BudgetHold.tokens)),
        )
        .where(col(BudgetHold.account_id).in_(account_ids), *_open())
        .group_by(col(BudgetHold.account_id))
    )
    held = {account_id: Amount(int(cost), int(tokens)) for account_id, cost, tokens in holds}
    return {row.id: _state(row, held.get(row.id, Amount())) for row in rows}


def _state(row: BudgetAccount, reserved: Amount) -> BudgetState:
    return BudgetState(
        max_cost_usd=None if row.limit_cost is None else usd(row.limit_cost),
        max_tokens=row.limit_tokens,
        spent_usd=usd(row.committed_cost - reserved.cost),
        spent_tokens=row.committed_tokens - reserved.tokens,
        open_usd=usd(reserved.cost),
        open_tokens=reserved.tokens,
        uncertain_usd=usd(row.uncertain_cost),
        overbilled_usd=usd(row.overbilled_cost),
        overbilled_tokens=row.overbilled_tokens,
        refused_usd=usd(row.refused_cost),
        refused_tokens=row.refused_tokens,
    )


def _open() -> tuple[ColumnElement[bool], ...]:
    return (col(BudgetHold.calls) > 0, col(BudgetHold.expires_at) > clock.now())


@dataclass(frozen=True, slots=True)
class Judged:
    """The progress of a run, and the usage that its scores recorded."""

    pairs: int
    left: int
    cost_usd: float
    tokens: int


async def judged(db: Reader, project_id: ProjectId, run: EvalRun) -> Judged:
    """Counts every score of the run, so the result is exact.

    The sums include the signals of sessions.
    """
    counted = sql_functions.unindexed(col(Score.target_type)) == run.target_type
    row = (
        await db.execute(
            select(
                func.count().filter(counted),
                func.coalesce(func.sum(col(Score.cost_usd)), 0.0),
                func.coalesce(func.sum(col(Score.prompt_tokens) + col(Score.completion_tokens)), 0),
            ).where(*run_rows.scores_of(project_id, run.id))
        )
    ).one()
    in_all = await run_pairs.count(db, run.id)
    return Judged(row[0], max(0, in_all - row[0]), float(row[1] or 0.0), int(row[2]))
