"""days of retention per project, the usage of deleted scores, and indexes for deletion by age

Deleting a run checks the foreign keys of budgets and monitors, which had no index.
"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

_DAYS = [f"retention_{kind}_days" for kind in ("traces", "runs", "judgements", "usage")]
_SUMS = (
    *("judge_calls", "answers", "cached_calls", "prompt_tokens", "completion_tokens"),
    *("unpriced", "repair_calls", "unpriced_repairs", "pairs_judged", "pairs_from_cache"),
)
_INDEXES = (
    ("ix_judgement_created", "judgement", ["project_id", "created_at"]),
    ("ix_budget_account_run", "budget_account", ["run_id"]),
    ("ix_eval_monitor_last_run", "eval_monitor", ["last_run_id"]),
)


def upgrade() -> None:
    for column in _DAYS:
        op.add_column("project", sa.Column(column, sa.Integer(), nullable=True))
    op.create_table(
        "usage_day",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("metric", sa.String(length=255), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("monitor_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _SUMS),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("cost_usd", "repair_cost_usd")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.PrimaryKeyConstraint("project_id", "day", "run_id", "metric", "model", "monitor_id"),
    )
    for name, table, columns in _INDEXES:
        op.create_index(name, table, columns)


def downgrade() -> None:
    for name, table, _ in reversed(_INDEXES):
        op.drop_index(name, table_name=table)
    op.drop_table("usage_day")
    for column in reversed(_DAYS):
        op.drop_column("project", column)
