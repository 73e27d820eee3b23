"""an audit log: who created, changed, cancelled or deleted what

Entries outlive the key and the project that they name, so neither is a foreign key.
"""

import sqlalchemy as sa
from alembic import op

import core.db.column_types

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("created_at", core.db.column_types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=True),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=True),
    )
    op.create_index("ix_audit_created", "audit_entry", ["created_at", "id"])
    op.create_index("ix_audit_project", "audit_entry", ["project_id", "created_at", "id"])


def downgrade() -> None:
    op.drop_table("audit_entry")
