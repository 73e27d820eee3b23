"""the current state of the workers' rate control"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker", sa.Column("throttles", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("worker", "throttles")
