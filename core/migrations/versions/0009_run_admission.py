"""admission of runs, leases, and the outcome of a monitor's last due time

`admitted_at` is the time of admission; until then a run is a row without a workflow. Two partial
indexes keep the counts of open and waiting runs cheap for any number of runs. A lease lets one
worker at a time do periodic work.
"""

import sqlalchemy as sa
from alembic import op

from core.db.column_types import UtcDateTime

revision = "0009"
down_revision = "0017"
branch_labels = None
depends_on = None

_OPEN = sa.text("completed_at IS NULL AND admitted_at IS NOT NULL")
_WAITING = sa.text("completed_at IS NULL AND admitted_at IS NULL")


def upgrade() -> None:
    op.add_column("eval_run", sa.Column("admitted_at", UtcDateTime(timezone=True), nullable=True))
    op.execute("UPDATE eval_run SET admitted_at = created_at")
    op.create_index(
        "ix_eval_run_open",
        "eval_run",
        ["project_id", "admitted_at", "id"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_index(
        "ix_eval_run_waiting",
        "eval_run",
        ["project_id", "created_at", "id"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(length=64), primary_key=True),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("expires_at", UtcDateTime(timezone=True), nullable=False),
    )
    op.add_column("eval_monitor", sa.Column("last_error", sa.Text(), nullable=True))
    op.add_column(
        "eval_monitor",
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
    )


def downgrade() -> None:
    op.drop_column("eval_monitor", "failures")
    op.drop_column("eval_monitor", "last_error")
    op.drop_table("lease")
    op.drop_index("ix_eval_run_waiting", table_name="eval_run")
    op.drop_index("ix_eval_run_open", table_name="eval_run")
    op.drop_column("eval_run", "admitted_at")
