"""The sessions that queries take."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from core.db.totals import Totals


class Reader(AsyncSession):
    """A session that reads one consistent snapshot."""

    def __init__(self, engine: AsyncEngine | None, totals: Totals, **options: Any) -> None:
        super().__init__(engine, expire_on_commit=False, **options)
        self.totals = totals


class Writer(Reader):
    """A session whose transaction may write. It also serves as a Reader."""
