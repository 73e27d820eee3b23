"""a run's scores in the order of their list

The scores of one run were found by looking through the project's: of three million, seconds for
a count, and for a small run with each request, since small totals are never remembered. The
unique index over run, target and metric finds them, but in another order and without what tells
whose they are. ix_score_run begins with all that such a list compares, so that it is taken
without statistics too, and ends with what runs are filtered by most, so that counting reads no
row. Only scores of runs are in it; they come in its order, at the end of their run's part.
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
