"""The tables of budgets: the money and tokens that each has spent or reserved, and the workers with
open calls.
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, Integer, Uuid
from sqlmodel import Field, SQLModel

from core.db.table_columns import limit_column, moment_column, sum_column


class BudgetAccount(SQLModel, table=True):
    """The budget of a run, or of a project for one month. Costs are in units of 1e-12 US dollars.

    `committed_…`: the sum of all bills, and of the reservations for calls without a bill yet.
    `uncertain_…`: the part of it that was reserved for calls whose bill never became known.
    `overbilled_…`: the sum by which bills exceeded their reservations. `refused_…`: the reservation
    of the newest call that did not fit.
    """

    __tablename__ = "budget_account"
    __table_args__: ClassVar[Any] = (
        Index("ix_budget_account_project", "project_id"),
        Index("ix_budget_account_run", "run_id"),
    )

    id: UUID = Field(primary_key=True)
    project_id: UUID = Field(foreign_key="project.id")
    run_id: UUID | None = Field(
        default=None,
        sa_column=Column(Uuid, ForeignKey("eval_run.id", ondelete="CASCADE"), nullable=True),
    )
    limit_cost: int | None = limit_column()
    limit_tokens: int | None = limit_column()
    committed_cost: int = sum_column()
    committed_tokens: int = sum_column()
    uncertain_cost: int = sum_column()
    overbilled_cost: int = sum_column()
    overbilled_tokens: int = sum_column()
    refused_cost: int = sum_column()
    refused_tokens: int = sum_column()


class BudgetHold(SQLModel, table=True):
    """The reservations of one worker process for its open calls. The row expires unless renewed."""

    __tablename__ = "budget_hold"

    account_id: UUID = Field(
        sa_column=Column(
            Uuid, ForeignKey("budget_account.id", ondelete="CASCADE"), primary_key=True
        )
    )
    worker: str = Field(primary_key=True, max_length=64)
    calls: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    cost: int = sum_column()
    tokens: int = sum_column()
    expires_at: datetime = moment_column()
