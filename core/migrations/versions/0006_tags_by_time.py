"""the start of the trace in each tag row

To find the newest traces with a tag, or those of a month, each trace of the tag or of the month had
to be looked up, which takes hundreds of milliseconds for a tag on one of twenty traces. With the
start in it, the index of tags holds the traces of a tag in list order: a period is a range of the
index, and a page its first entries. ix_trace_tag_started replaces ix_trace_tag_tag, so a write
touches as many indexes as before. The start of a trace rarely changes and a trace has few tags, so
keeping both in step is cheap.
"""

import sqlalchemy as sa
from alembic import op

import core.db.column_types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_trace_tag_tag", "trace_tag")
    op.add_column(
        "trace_tag",
        sa.Column("started_at", core.db.column_types.UtcDateTime(timezone=True), nullable=True),
    )
    _date_what_is_stored()
    # SQLite cannot add a required column without a default, so it rewrites the table.
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
