"""the model in the index of waiting runs

An admission looks for waiting runs of certain models among many thousands.
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_INDEX = "ix_eval_run_waiting"
_COLUMNS = ["project_id", "created_at", "id"]
_WAITING = sa.text("completed_at IS NULL AND admitted_at IS NULL")


def upgrade() -> None:
    _index([*_COLUMNS, "model"])


def downgrade() -> None:
    _index(_COLUMNS)


def _index(columns: list[str]) -> None:
    op.drop_index(_INDEX, table_name="eval_run")
    op.create_index(_INDEX, "eval_run", columns, sqlite_where=_WAITING, postgresql_where=_WAITING)
