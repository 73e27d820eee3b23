"""an index for comparing sessions by their scores

A page of the comparison has the lowest or highest numbers of a metric, and each number is checked
to be its session's newest. With the number in an index, a page reads a few entries instead of
ranking every score. The index holds only scores of sessions, so writes of trace scores cost nothing
more.
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
