"""keys with a home project that may name others; projects that can be deleted

A key without a project could name any project. Now `any_project` states this, and such a key may
also have a home project. A project that is being deleted keeps its row until its content is
deleted.
"""

import sqlalchemy as sa
from alembic import op

import core.db.column_types

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "api_key", sa.Column("any_project", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.execute("UPDATE api_key SET any_project = true WHERE project_id IS NULL")
    op.add_column("project", sa.Column("description", sa.Text(), nullable=True))
    op.add_column(
        "project",
        sa.Column("deleted_at", core.db.column_types.UtcDateTime(timezone=True), nullable=True),
    )
    op.add_column(
        "project",
        sa.Column("deleted_rows", sa.BigInteger(), nullable=False, server_default="0"),
    )


def downgrade() -> None:
    for name in ("deleted_rows", "deleted_at", "description"):
        op.drop_column("project", name)
    op.drop_column("api_key", "any_project")
