"""a column for signal weights

The weights were a key inside `filters`, although they filter nothing. Every reader of the filters
of a session run or monitor had to remove them first.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0015"
branch_labels = None
depends_on = None

_KEY = "signal_weights"
_TABLES = ("eval_run", "eval_monitor")


def upgrade() -> None:
    for name in _TABLES:
        op.add_column(name, sa.Column(_KEY, sa.JSON(none_as_null=True), nullable=True))
        for row in _rows(name):
            if _KEY in row.filters:
                filters = dict(row.filters)
                _write(name, row, {_KEY: filters.pop(_KEY), "filters": filters})


def downgrade() -> None:
    for name in _TABLES:
        for row in _rows(name):
            if row.signal_weights is not None:
                _write(name, row, {"filters": {**row.filters, _KEY: row.signal_weights}})
        op.drop_column(name, _KEY)


def _rows(name: str) -> list[Any]:
    table = _table(name)
    sessions = sa.select(table).where(table.c.target_type == "SESSION")
    return list(op.get_bind().execute(sessions))


def _write(name: str, row: Any, values: dict[str, Any]) -> None:
    table = _table(name)
    op.get_bind().execute(table.update().where(table.c.id == row.id).values(values))


def _table(name: str) -> sa.Table:
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.Uuid()),
        sa.Column("target_type", sa.Text()),
        sa.Column("filters", sa.JSON()),
        sa.Column(_KEY, sa.JSON(none_as_null=True)),
    )
