"""the stored size of a project, from an index alone

The quota of a project limits the sum of its stored bytes. The sum reads this index, never the rows
of traces, whose content lies between their columns.
"""

from alembic import op

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_trace_size", "trace", ["project_id", "size_bytes"])


def downgrade() -> None:
    op.drop_index("ix_trace_size", "trace")
