"""when a tag's trace started, beside the tag

The newest traces that carry a tag, or those of a month, were found by looking up each of the
tag's traces, or each of the month's: with a tag on one of twenty traces either is hundreds of
milliseconds. With the time in it, the index of tags holds a tag's traces in the order lists show
them: a period is a range of it and a page its first entries. ix_trace_tag_started replaces
ix_trace_tag_tag, which nothing needs beside it; a write touches as many indexes as before. When
a trace started hardly ever changes, and its tags are few, so that to keep both in step is cheap.
"""

import sqlalchemy as sa
from alembic import op

import core.dialect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_trace_tag_tag", "trace_tag")
    op.add_column(
        "trace_tag",
        sa.Column("started_at", core.dialect.UtcDateTime(timezone=True), nullable=True),
    )
    _date_what_is_stored()
    # SQLite can add no column that must be there and has no default: it writes the table anew.
    with op.batch_alter_table("trace_tag") as batch:
        batch.alter_column("started_at", nullable=False)
    op.create_index(
        "ix_trace_tag_started", "trace_tag", ["project_id", "tag", "started_at", "trace_id"]
    )


def downgrade() -> None:
    op.drop_index("ix_trace_tag_started", "trace_tag")
    op.drop_column("trace_tag", "started_at")
    op.create_index("ix_trace_tag_tag", "trace_tag", ["project_id", "tag", "trace_id"])


def _date_what_is_stored() -> None:
    tag = sa.table("trace_tag", *map(sa.column, ("project_id", "trace_id", "started_at")))
    trace = sa.table("trace", *map(sa.column, ("project_id", "id", "started_at")))
    started_at = sa.select(trace.c.started_at).where(
        trace.c.project_id == tag.c.project_id, trace.c.id == tag.c.trace_id
    )
    op.execute(tag.update().values(started_at=started_at.scalar_subquery()))
