"""sizes of traces and spans, and the spans a trace's head follows

`size_bytes` holds the size of the content as JSON, so that the size of a trace can be limited
without reading the trace. Rows of earlier releases count 0 bytes until they are written again;
`span_count` is exact for them. The three span ids name the spans from which the head of the trace
is derived. NULL means that the next span derives the head from all spans.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0007"
branch_labels = None
depends_on = None

_SPAN_IDS = ("top_span_id", "input_span_id", "output_span_id")


def upgrade() -> None:
    for table in ("trace", "span"):
        size = sa.Column("size_bytes", sa.BigInteger(), server_default="0", nullable=False)
        op.add_column(table, size)
    for name in _SPAN_IDS:
        op.add_column("trace", sa.Column(name, sa.Uuid(), nullable=True))


def downgrade() -> None:
    for name in _SPAN_IDS:
        op.drop_column("trace", name)
    for table in ("trace", "span"):
        op.drop_column(table, "size_bytes")
