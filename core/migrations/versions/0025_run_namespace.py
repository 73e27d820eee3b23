"""which Temporal a run belongs to; retries without ids; which workers poll

A worker that uses the same database but another Temporal must not start the runs again there. The
targets of a retry are frozen when the retry is created, so its row need not list them.
"""

import json

import sqlalchemy as sa
from alembic import op

from core.db.column_types import UtcDateTime

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_RUN = sa.table("eval_run", sa.column("id", sa.Uuid()), sa.column("filters", sa.JSON()))


def upgrade() -> None:
    with op.batch_alter_table("eval_run") as batch:
        batch.add_column(sa.Column("temporal_namespace", sa.String(255), nullable=True))
    with op.batch_alter_table("worker") as batch:
        batch.add_column(sa.Column("polled_at", UtcDateTime(timezone=True), nullable=True))
        batch.add_column(sa.Column("judge_max_per_second", sa.Float(), nullable=True))
    connection = op.get_bind()
    text = sa.cast(_RUN.c.filters, sa.Text)
    ids = connection.scalars(sa.select(_RUN.c.id).where(text.contains('"retry_of"')))
    for run_id in ids.all():
        filters = connection.scalar(sa.select(text).where(_RUN.c.id == run_id))
        short = {"retry_of": json.loads(filters or "{}").get("retry_of")}
        connection.execute(sa.update(_RUN).where(_RUN.c.id == run_id).values(filters=short))


def downgrade() -> None:
    with op.batch_alter_table("worker") as batch:
        batch.drop_column("judge_max_per_second")
        batch.drop_column("polled_at")
    with op.batch_alter_table("eval_run") as batch:
        batch.drop_column("temporal_namespace")
