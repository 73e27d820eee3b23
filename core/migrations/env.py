from typing import Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlmodel.sql.sqltypes import AutoString

from core.db.column_types import Choice
from core.db.tables import metadata


def render(kind: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    """Migrations use plain types, so that they do not depend on classes that may change."""
    if kind == "type" and isinstance(item, Choice):
        return "sa.Text()"
    if kind == "type" and isinstance(item, AutoString):
        return repr(sa.String(item.length)).replace("String", "sa.String")
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=render,
    # The caller's transaction spans the lock and every step.
    transaction_per_migration=False,
)
context.run_migrations()
