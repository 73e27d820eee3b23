"""several metrics asked in one call

The pairs of a trace share the call. The judgement names the run and the trace that paid for the
call, so that each pair takes its share once. A claim names the worker that is asking, so that only
one worker asks. Runs and monitors can turn sharing off.
"""

import sqlalchemy as sa
from alembic import op

from core.db.column_types import UtcDateTime

revision = "0012"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("judgement", sa.Column("calls", sa.Integer(), nullable=False, server_default="1"))
    for table in ("eval_run", "eval_monitor"):
        op.add_column(
            table, sa.Column("bundle", sa.Boolean(), nullable=False, server_default=sa.true())
        )
    op.add_column("judgement", sa.Column("paid_by", sa.String(80), nullable=True))
    op.create_table(
        "judgement_claim",
        sa.Column("project_id", sa.Uuid(), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("judgement_claim")
    op.drop_column("judgement", "paid_by")
    op.drop_column("eval_monitor", "bundle")
    op.drop_column("eval_run", "bundle")
    op.drop_column("judgement", "calls")
