"""What the workers offer: the API holds no provider key and asks here instead."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlmodel import col

from core import clock, dialect
from core.database import Reader, Writer
from core.errors import Invalid
from core.model_names import provider_of
from core.tables import Worker, metadata

SEEN_WITHIN_SECONDS = 120.0
FORGOTTEN_AFTER_SECONDS = 24 * 3600.0
BEAT_SECONDS = 1.5
SILENT_AFTER_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """`any_name`: it takes every name that says nothing of its provider."""

    key: str
    name: str
    description: str
    available: bool
    message: str
    any_name: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """What the workers seen lately can do together. `seen` False: there were none."""

    seen: bool
    default_model: str | None
    providers: list[ProviderRow]

    def provider_of(self, model: str) -> ProviderRow | None:
        """None where the model's name tells of none of them."""
        known = {row.key: row for row in self.providers}
        any_other = next((row.key for row in self.providers if row.any_name), None)
        found = provider_of(model, known, of_any_other=any_other)
        return found and known[found[0]]


async def publish(
    db: Writer,
    *,
    worker_id: str,
    started_at: datetime,
    default_model: str,
    providers: Iterable[ProviderRow],
) -> None:
    values = {
        "id": worker_id,
        "started_at": started_at,
        "last_seen": clock.now(),
        "default_model": default_model,
        "providers": [asdict(row) for row in providers],
    }
    statement = dialect.insert(db.get_bind().dialect.name, metadata.tables["worker"]).values(values)
    await db.execute(
        statement.on_conflict_do_update(
            index_elements=["id"], set_={k: v for k, v in values.items() if k != "id"}
        )
    )
    await db.execute(
        delete(Worker).where(col(Worker.last_seen) < clock.seconds_ago(FORGOTTEN_AFTER_SECONDS))
    )


async def beat(db: Writer, worker_id: str) -> None:
    """So often that a worker that was killed is missed within seconds."""
    await db.execute(
        update(Worker).where(col(Worker.id) == worker_id).values(last_seen=clock.now())
    )


async def last_seen(db: Reader) -> datetime | None:
    """When any worker was heard from last; None where all have stopped in good order."""
    found = await db.execute(
        select(col(Worker.last_seen)).order_by(col(Worker.last_seen).desc()).limit(1)
    )
    return found.scalar_one_or_none()


async def withdraw(db: Writer, worker_id: str) -> None:
    """A worker that stops in good order is gone at once."""
    await db.execute(delete(Worker).where(col(Worker.id) == worker_id))


async def offered(db: Reader) -> Offer:
    """A provider is available when any worker seen lately has its credentials."""
    found = await db.execute(
        select(col(Worker.default_model), col(Worker.providers))
        .where(col(Worker.last_seen) >= clock.seconds_ago(SEEN_WITHIN_SECONDS))
        .order_by(col(Worker.started_at).desc(), col(Worker.id))
    )
    rows = found.all()
    best: dict[str, ProviderRow] = {}
    for _, providers in rows:
        for fields in providers:
            row = ProviderRow(**fields)
            if row.key not in best or (row.available and not best[row.key].any_name):
                best[row.key] = row
    return Offer(
        seen=bool(rows),
        default_model=rows[0][0] if rows else None,
        providers=sorted(best.values(), key=lambda row: row.key),
    )


async def check_model(db: Reader, model: str) -> None:
    """Raises Invalid when no worker seen lately can judge with this model.

    With no worker seen at all every model passes: a worker that starts later decides.
    """
    offer = await offered(db)
    if not offer.seen:
        return
    provider = offer.provider_of(model)
    if provider is None:
        raise Invalid(
            f"Model {model!r} names no known provider. Write provider/model with one of: "
            f"{', '.join(row.key for row in offer.providers)}."
        )
    if not provider.available:
        raise Invalid(f"Model {model!r} cannot be used: {provider.message}")
