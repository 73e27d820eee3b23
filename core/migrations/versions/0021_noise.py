"""comparisons that a workflow computes, and the noise of judges

A comparison of many pairs has a row before it has a result; `status` shows its progress. A noise
measurement names its runs without foreign keys, as a comparison does, because it outlives them.
"""

import sqlalchemy as sa
from alembic import op

import core.db.column_types

revision = "0021"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "comparison", sa.Column("status", sa.Text(), server_default="COMPLETED", nullable=False)
    )
    op.add_column("comparison", sa.Column("error_message", sa.Text(), nullable=True))
    op.create_index(
        "ix_comparison_runs",
        "comparison",
        ["project_id", "baseline_run_id", "candidate_run_id", "created_at"],
    )
    op.create_table(
        "noise_measurement",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("sample", sa.Integer(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", core.db.column_types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_noise_measurement_created", "noise_measurement", ["project_id", "created_at", "id"]
    )
    op.create_table(
        "metric_noise",
        sa.Column("measurement_id", sa.Uuid(), nullable=False),
        sa.Column("metric", sa.String(length=255), nullable=False),
        sa.Column("metric_version", sa.String(length=255), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("pairs", sa.Integer(), nullable=False),
        sa.Column("spread", sa.Float(), nullable=False),
        sa.Column("mean_difference", sa.Float(), nullable=False),
        sa.Column("created_at", core.db.column_types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["measurement_id"], ["noise_measurement.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.PrimaryKeyConstraint("measurement_id", "metric"),
    )
    op.create_index(
        "ix_metric_noise_newest",
        "metric_noise",
        ["project_id", "metric", "metric_version", "model", "created_at"],
    )


def downgrade() -> None:
    op.drop_table("metric_noise")
    op.drop_table("noise_measurement")
    op.drop_index("ix_comparison_runs", "comparison")
    op.drop_column("comparison", "error_message")
    op.drop_column("comparison", "status")
