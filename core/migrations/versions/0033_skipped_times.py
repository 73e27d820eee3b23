"""due times of monitors that were skipped"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0020"
branch_labels = None
depends_on = None

_COLUMNS = ("skipped_by_outage", "skipped_by_overlap")


def upgrade() -> None:
    for column in _COLUMNS:
        op.add_column(
            "eval_monitor", sa.Column(column, sa.Integer(), nullable=False, server_default="0")
        )


def downgrade() -> None:
    for column in reversed(_COLUMNS):
        op.drop_column("eval_monitor", column)
