"""budgets of runs and of projects

Accounts have a separate table: each write of a score locks the row of its run, and a reservation
must not wait for that lock. Costs are whole numbers of 1e-12 US dollars, so that sums are exact.
"""

import sqlalchemy as sa
from alembic import op

from core.db.column_types import UtcDateTime

revision = "0019"
down_revision = "0029"
branch_labels = None
depends_on = None

_SUMS = (
    "committed_cost",
    "committed_tokens",
    "uncertain_cost",
    "overbilled_cost",
    "overbilled_tokens",
    "refused_cost",
    "refused_tokens",
)


def upgrade() -> None:
    for table in ("eval_run", "eval_monitor"):
        op.add_column(table, sa.Column("max_cost_usd", sa.Float(), nullable=True))
        op.add_column(table, sa.Column("max_tokens", sa.BigInteger(), nullable=True))
    op.add_column("eval_run", sa.Column("paused_at", UtcDateTime(), nullable=True))
    op.add_column("eval_run", sa.Column("paused_by", sa.Text(), nullable=True))
    op.add_column("eval_run", sa.Column("resume_requested_at", UtcDateTime(), nullable=True))
    op.add_column("project", sa.Column("monthly_budget_usd", sa.Float(), nullable=True))
    op.create_table(
        "budget_account",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("project_id", sa.Uuid(), sa.ForeignKey("project.id"), nullable=False),
        sa.Column("run_id", sa.Uuid(), sa.ForeignKey("eval_run.id", ondelete="CASCADE")),
        sa.Column("limit_cost", sa.BigInteger(), nullable=True),
        sa.Column("limit_tokens", sa.BigInteger(), nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _SUMS),
    )
    op.create_index("ix_budget_account_project", "budget_account", ["project_id"])
    op.create_table(
        "budget_hold",
        sa.Column(
            "account_id",
            sa.Uuid(),
            sa.ForeignKey("budget_account.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("worker", sa.String(64), primary_key=True),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("budget_hold")
    op.drop_table("budget_account")
    op.drop_column("project", "monthly_budget_usd")
    for name in ("resume_requested_at", "paused_by", "paused_at"):
        op.drop_column("eval_run", name)
    for table in ("eval_monitor", "eval_run"):
        op.drop_column(table, "max_tokens")
        op.drop_column(table, "max_cost_usd")
