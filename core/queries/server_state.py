"""What a database server says about itself."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text, update
from sqlmodel import col

from core import clock
from core.db.database import Reader, Writer
from core.db.tables import Lease


@dataclass(frozen=True, slots=True)
class Connections:
    """Of all clients together. `most` leaves out those reserved for administrators."""

    in_use: int
    most: int


async def answers(db: Reader) -> None:
    """Raises the driver's error."""
    await db.execute(text("SELECT 1"))


async def write_nothing(db: Writer) -> None:
    """Takes the locks and needs the rights of a write, and changes no row."""
    await db.execute(
        update(Lease).where(col(Lease.name) == "").values(expires_at=col(Lease.expires_at))
    )


async def connections(db: Reader) -> Connections | None:
    """None for SQLite."""
    if db.get_bind().dialect.name != "postgresql":
        return None
    found = await db.execute(
        text(
            "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), "
            "current_setting('max_connections')::int "
            "- current_setting('superuser_reserved_connections')::int"
        )
    )
    in_use, most = found.one()
    return Connections(in_use, most)


async def now(db: Reader) -> datetime:
    """The server's clock; for SQLite, that of this machine."""
    if db.get_bind().dialect.name != "postgresql":
        return clock.now()
    found = await db.execute(text("SELECT clock_timestamp()"))
    moment: datetime = found.scalar_one()
    return moment.astimezone(UTC)
