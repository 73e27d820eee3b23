"""the dashboard's sessions, and figures of a run without reading its rows

A page about a run shows each metric's mean, interval and histogram. `ix_score_run` ends with the
number now, so that these figures come from the index alone.
"""

import sqlalchemy as sa
from alembic import op

import core.db.column_types

revision = "0017"
down_revision = "0011"
branch_labels = None
depends_on = None

_COLUMNS = ("project_id", "target_type", "eval_run_id", "created_at", "id", "name", "status")


def upgrade() -> None:
    op.create_table(
        "dashboard_session",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("api_key_id", sa.Uuid(), nullable=False),
        sa.Column("is_link", sa.Boolean(), nullable=False),
        sa.Column("created_at", core.db.column_types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", core.db.column_types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_key.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.drop_index("ix_score_run", "score")
    _index_scores_of_runs(*_COLUMNS, "number")


def downgrade() -> None:
    op.drop_index("ix_score_run", "score")
    _index_scores_of_runs(*_COLUMNS)
    op.drop_table("dashboard_session")


def _index_scores_of_runs(*columns: str) -> None:
    op.create_index(
        "ix_score_run",
        "score",
        list(columns),
        sqlite_where=sa.text("eval_run_id IS NOT NULL"),
        postgresql_where=sa.text("eval_run_id IS NOT NULL"),
    )
