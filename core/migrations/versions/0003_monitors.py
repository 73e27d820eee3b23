"""monitors

eval_run.monitor_id has no foreign key: SQLite could only add one by dropping and rebuilding
eval_run, which would delete the targets of every run.
"""

import sqlalchemy as sa
from alembic import op

import core.db.column_types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "eval_monitor",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("target_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("metric_names", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("filters", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("sampling_rate", sa.Float(), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=True),
        sa.Column("cadence", sa.String(length=255), nullable=False),
        sa.Column("only_if_changed", sa.Boolean(), nullable=False),
        sa.Column("last_run_at", core.db.column_types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("last_run_id", sa.Uuid(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("applied_revision", sa.Integer(), nullable=False),
        sa.Column("next_run_at", core.db.column_types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", core.db.column_types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", core.db.column_types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["last_run_id"], ["eval_run.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    # Lists the monitors of a project, newest first.
    op.create_index(
        "ix_eval_monitor_created", "eval_monitor", ["project_id", "created_at", "id"], unique=False
    )
    # Lists the runs of a monitor, and finds its open run.
    op.create_index(
        "ix_eval_run_monitor", "eval_run", ["monitor_id", "created_at", "id"], unique=False
    )


def downgrade() -> None:
    op.drop_index("ix_eval_run_monitor", "eval_run")
    op.drop_table("eval_monitor")
