"""comparisons of two runs

A comparison keeps its result, so it names its runs without foreign keys: deleting a run leaves
the comparisons that it took part in.
"""

import sqlalchemy as sa
from alembic import op

import core.db.column_types

revision = "0018"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "comparison",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("baseline_run_id", sa.Uuid(), nullable=False),
        sa.Column("candidate_run_id", sa.Uuid(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("created_at", core.db.column_types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_comparison_created", "comparison", ["project_id", "created_at", "id"])


def downgrade() -> None:
    op.drop_table("comparison")
