"""figures of ended runs, and names of traces in order

The row of an ended run keeps the counts of its scores. The index over names serves the search by
name.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("eval_run", sa.Column("figures", sa.JSON(), nullable=True))
    op.add_column(
        "eval_run",
        sa.Column("figures_revision", sa.Integer(), nullable=False, server_default="0"),
    )
    op.create_index("ix_trace_name", "trace", ["project_id", "name", "started_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_trace_name", table_name="trace")
    op.drop_column("eval_run", "figures_revision")
    op.drop_column("eval_run", "figures")
