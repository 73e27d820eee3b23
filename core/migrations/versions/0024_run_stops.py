"""runs whose scores are no longer written

On PostgreSQL, new share locks on a row pass a writer that waits for the row. Before a run is ended,
a row here, written without a lock, stops the writing of its scores.
"""

import sqlalchemy as sa
from alembic import op

import core.db.column_types

revision = "0024"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "eval_run_stop",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("stopped_at", core.db.column_types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
    )


def downgrade() -> None:
    op.drop_table("eval_run_stop")
