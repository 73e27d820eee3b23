"""sessions compared by their scores

A page of the comparison is the lowest or highest numbers of a metric, each looked up whether it
is its session's newest: with the number in an index, a page reads a few entries instead of
ranking every score there is. Only scores of sessions are in it, which are few beside those of
traces; a score of a trace costs nothing more to write.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_score_of_session",
        "score",
        ["project_id", "name", "status", "number", "target_id", "created_at", "id"],
        sqlite_where=sa.text("target_type = 'SESSION'"),
        postgresql_where=sa.text("target_type = 'SESSION'"),
    )


def downgrade() -> None:
    op.drop_index("ix_score_of_session", "score")
