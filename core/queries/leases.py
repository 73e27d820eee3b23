"""Leases, which let only one worker at a time do periodic work."""

from datetime import timedelta

from sqlalchemy import select
from sqlmodel import col

from core import clock
from core.db import dialect
from core.db.database import Writer
from core.db.tables import Lease, metadata

_NEVER_HELD = "nobody"


async def acquire(db: Writer, name: str, holder: str, *, seconds: float) -> bool:
    """Takes or renews the lease. False while another holder has it."""
    row = await _locked(db, name)
    now = clock.now()
    expired = row.expires_at <= now or row.expires_at > now + timedelta(days=1)
    if row.holder != holder and not expired:
        return False
    row.holder = holder
    row.expires_at = now + timedelta(seconds=seconds)
    return True


async def serialize(db: Writer, name: str) -> None:
    """Lets one transaction at a time pass, until its commit."""
    await _locked(db, name)


async def _locked(db: Writer, name: str) -> Lease:
    await db.execute(
        dialect.insert(db, metadata.tables["lease"])
        .values(name=name, holder=_NEVER_HELD, expires_at=clock.now())
        .on_conflict_do_nothing(index_elements=["name"])
    )
    rows = await db.execute(select(Lease).where(col(Lease.name) == name).with_for_update())
    return rows.scalar_one()
