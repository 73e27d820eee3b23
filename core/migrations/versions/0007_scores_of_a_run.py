"""an index of a run's scores in list order

A scan of the project's scores found the scores of one run: with three million scores, a count took
seconds. For a small run every request counted, because small totals are not remembered. The unique
index over run, target and metric also finds the scores, but in another order and without the
columns that such a list compares. ix_score_run begins with these columns, so SQLite uses it without
statistics, and ends with the most frequent filters, so that counting reads no row. It holds only
scores of runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_score_run",
        "score",
        [
            *("project_id", "target_type", "eval_run_id"),
            *("created_at", "id", "name", "status"),
        ],
        sqlite_where=sa.text("eval_run_id IS NOT NULL"),
        postgresql_where=sa.text("eval_run_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_score_run", "score")
