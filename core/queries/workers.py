"""What the workers offer. The API holds no provider key and reads availability from these rows."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlmodel import col

from core import clock
from core.db import dialect
from core.db.database import Reader, Writer
from core.db.tables import Worker, metadata
from core.model_names import provider_of
from core.provider_status import ProviderStatus, ThrottleState, ThrottleStatus

SEEN_WITHIN_SECONDS: Final = 120.0
REPORTED_WITHIN_SECONDS: Final = 90.0
"""A worker that has not reported for this long is not healthy. Workers publish every 30 seconds."""

POLLED_WITHIN_SECONDS: Final = 180.0
"""A worker that Temporal has not seen for this long is not healthy."""

FORGOTTEN_AFTER_SECONDS: Final = 24 * 3600.0
BEAT_SECONDS: Final = 1.5
SILENT_AFTER_SECONDS: Final = 4.0


LOST_AFTER_SECONDS: Final = 8.0
"""A worker without a report for this long counts as stopped or killed."""


@dataclass(frozen=True, slots=True)
class WorkerLife:
    worker_id: str
    started_at: datetime
    last_seen: datetime

    def is_silent(self, now: datetime) -> bool:
        return (now - self.last_seen).total_seconds() > LOST_AFTER_SECONDS


@dataclass(frozen=True, slots=True)
class Offer:
    """What the recently seen workers offer together. `seen` is False if there are none."""

    seen: bool
    default_model: str | None
    providers: list[ProviderStatus]

    def provider_of(self, model: str) -> ProviderStatus | None:
        """The provider of the model's name; None if the name belongs to no provider."""
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
    providers: Iterable[ProviderStatus],
) -> None:
    values = {
        "id": worker_id,
        "started_at": started_at,
        "last_seen": clock.now(),
        "default_model": default_model,
        "providers": [asdict(row) for row in providers],
    }
    updated = tuple(name for name in values if name != "id")
    await db.execute(
        dialect.upsert(db, metadata.tables["worker"], key=("id",), update=updated), values
    )
    await db.execute(
        delete(Worker).where(col(Worker.last_seen) < clock.seconds_ago(FORGOTTEN_AFTER_SECONDS))
    )


async def confirm_polling(db: Writer, worker_id: str) -> None:
    """Records that Temporal has confirmed the polling of the worker."""
    await db.execute(
        update(Worker).where(col(Worker.id) == worker_id).values(polled_at=clock.now())
    )


def polls() -> ColumnElement[bool]:
    """Predicate: Temporal has seen the worker recently, or the worker has just started."""
    heard = func.coalesce(col(Worker.polled_at), col(Worker.started_at))
    return heard >= clock.seconds_ago(POLLED_WITHIN_SECONDS)


async def publish_rate(
    db: Writer, worker_id: str, judge_max_per_second: float | None
) -> dict[str, float | None]:
    """Publishes the rate of this worker, and returns recently seen workers with another rate."""
    await db.execute(
        update(Worker)
        .where(col(Worker.id) == worker_id)
        .values(judge_max_per_second=judge_max_per_second)
    )
    rows = await db.execute(
        select(col(Worker.id), col(Worker.judge_max_per_second)).where(
            col(Worker.id) != worker_id,
            col(Worker.last_seen) >= clock.seconds_ago(SEEN_WITHIN_SECONDS),
        )
    )
    return {other: rate for other, rate in rows if rate != judge_max_per_second}


async def beat(db: Writer, worker_id: str, throttles: Iterable[ThrottleStatus] = ()) -> None:
    """Records a sign of life, often enough that a killed worker is noticed within seconds."""
    stored = [
        asdict(one) | {"until": None if one.until is None else one.until.isoformat()}
        for one in throttles
    ]
    await db.execute(
        update(Worker)
        .where(col(Worker.id) == worker_id)
        .values(last_seen=clock.now(), throttles=stored)
    )


async def throttles(db: Reader) -> list[ThrottleStatus]:
    """States of the rate control of all live workers; those that delay calls come first."""
    rows = await db.scalars(
        select(col(Worker.throttles)).where(
            col(Worker.last_seen) >= clock.seconds_ago(LOST_AFTER_SECONDS)
        )
    )
    found = [_throttle(fields) for stored in rows for fields in stored or ()]
    return sorted(found, key=lambda one: (one.state is ThrottleState.OPEN, -one.waiting, one.model))


def _throttle(fields: Mapping[str, Any]) -> ThrottleStatus:
    until = fields.get("until")
    return ThrottleStatus(
        provider=fields["provider"],
        model=fields["model"],
        state=ThrottleState(fields["state"]),
        open_calls=fields["open_calls"],
        waiting=fields["waiting"],
        per_second=fields.get("per_second"),
        until=None if until is None else datetime.fromisoformat(until),
        limit=fields.get("limit"),
    )


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A recently seen worker process."""

    id: str
    started_at: datetime
    last_seen: datetime
    default_model: str


async def seen_lately(db: Reader) -> list[WorkerSeen]:
    """Workers that can take work, newest first."""
    rows = await db.scalars(
        select(Worker)
        .where(
            col(Worker.last_seen) >= clock.seconds_ago(SEEN_WITHIN_SECONDS),
            polls(),
        )
        .order_by(col(Worker.started_at).desc(), col(Worker.id))
    )
    return [WorkerSeen(row.id, row.started_at, row.last_seen, row.default_model) for row in rows]


async def last_seen(db: Reader) -> datetime | None:
    """The last report of any worker; None if every worker was shut down properly."""
    rows = await db.execute(
        select(col(Worker.last_seen)).order_by(col(Worker.last_seen).desc()).limit(1)
    )
    return rows.scalar_one_or_none()


def is_silent(last_seen: datetime | None) -> bool:
    """Whether no worker is alive, given the last report of any worker."""
    return last_seen is None or last_seen < clock.seconds_ago(SILENT_AFTER_SECONDS)


async def lives(db: Reader) -> list[WorkerLife]:
    """Workers that were not shut down properly."""
    rows = await db.execute(select(col(Worker.id), col(Worker.started_at), col(Worker.last_seen)))
    return [WorkerLife(*row) for row in rows]


async def count_started(db: Reader, *, since: datetime) -> int:
    """The number of workers that registered since then."""
    number = await db.scalar(select(func.count()).where(col(Worker.started_at) >= since))
    return number or 0


async def withdraw(db: Writer, worker_id: str) -> None:
    """Removes a worker that shuts down properly."""
    await db.execute(delete(Worker).where(col(Worker.id) == worker_id))


async def offered(db: Reader) -> Offer:
    """The common offer. A provider is available if a recently seen worker has its credentials."""
    result = await db.execute(
        select(col(Worker.default_model), col(Worker.providers))
        .where(col(Worker.last_seen) >= clock.seconds_ago(SEEN_WITHIN_SECONDS))
        .order_by(col(Worker.started_at).desc(), col(Worker.id))
    )
    rows = result.all()
    best: dict[str, ProviderStatus] = {}
    for _, providers in rows:
        for fields in providers:
            row = ProviderStatus(**fields)
            if row.key not in best or (row.available and not best[row.key].any_name):
                best[row.key] = row
    return Offer(
        seen=bool(rows),
        default_model=rows[0][0] if rows else None,
        providers=sorted(best.values(), key=lambda row: row.key),
    )
