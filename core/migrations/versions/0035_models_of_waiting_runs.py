"""an index of waiting runs by model

An admission looks for waiting runs of certain models among many thousands.
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_INDEX = "ix_eval_run_waiting_model"
_WAITING = sa.text("completed_at IS NULL AND admitted_at IS NULL")


def upgrade() -> None:
    op.create_index(
        _INDEX,
        "eval_run",
        ["project_id", "model", "created_at", "id"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )


def downgrade() -> None:
    op.drop_index(_INDEX, table_name="eval_run")
