"""repairs as a separate part of the usage of scores and stored judgements

Rows of earlier releases do not show which of their calls were repairs; they count none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_TABLES = ("score", "judgement")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(
            table, sa.Column("repair_calls", sa.Integer(), nullable=False, server_default="0")
        )
        op.add_column(
            table, sa.Column("repair_cost_usd", sa.Float(), nullable=True, server_default="0")
        )


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "repair_cost_usd")
        op.drop_column(table, "repair_calls")
