"""the amount of text of traces, and overlapping usage

`content` shows in lists whether there is text to judge. `text_spans` and `silent_spans` count the
spans with text, and the model answers and tool calls without it, so that a change of a trace reads
no other span. `usage_overlaps` marks traces whose tokens are not a plain sum. ix_trace_running
finds traces without a root span; ix_span_usage finds spans inside a span that also report usage.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0018"
branch_labels = None
depends_on = None

_COUNTS = ("text_spans", "silent_spans")
_NO_TEXT = """
UPDATE trace SET content = 'none'
WHERE input IS NULL AND output IS NULL AND NOT EXISTS (
  SELECT 1 FROM span WHERE span.project_id = trace.project_id AND span.trace_id = trace.id
  AND (span.input IS NOT NULL OR span.output IS NOT NULL))
"""


def upgrade() -> None:
    op.add_column("trace", sa.Column("content", sa.Text(), server_default="whole", nullable=False))
    for name in _COUNTS:
        op.add_column("trace", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "trace",
        sa.Column("usage_overlaps", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.execute(_NO_TEXT)
    op.create_index(
        "ix_trace_running",
        "trace",
        ["updated_at"],
        sqlite_where=sa.text("status = 'RUNNING'"),
        postgresql_where=sa.text("status = 'RUNNING'"),
    )
    op.create_index(
        "ix_span_usage",
        "span",
        ["project_id", "trace_id", "parent_span_id"],
        sqlite_where=sa.text("total_tokens > 0"),
        postgresql_where=sa.text("total_tokens > 0"),
    )


def downgrade() -> None:
    op.drop_index("ix_span_usage", "span")
    op.drop_index("ix_trace_running", "trace")
    for name in ("usage_overlaps", *_COUNTS, "content"):
        op.drop_column("trace", name)
