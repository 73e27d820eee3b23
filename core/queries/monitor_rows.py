"""Rows of monitors, and the runs that monitors open."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlmodel import col

from core import clock
from core.db import paging
from core.db.database import Reader, Writer
from core.db.locking import lock_row
from core.db.paging import Page
from core.db.tables import EvalMonitor, EvalRun
from core.errors import NotFound
from core.ids import MonitorId, MonitorStatus, ProjectId, RunId, RunStatus, TargetType
from core.queries import run_rows
from core.queries.run_rows import NewRun
from core.run_spec import RunSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorSettings:
    """The fields that a client may change. `filters` is JSON as sent, without nulls."""

    name: str
    metric_names: list[str]
    filters: dict[str, Any]
    signal_weights: dict[str, float] | None = None
    sampling_rate: float
    model: str | None
    cadence: str
    only_if_changed: bool
    bundle: bool = True
    max_cost_usd: float | None = None
    max_tokens: int | None = None


async def create(
    db: Writer,
    project_id: ProjectId,
    monitor_id: MonitorId,
    target_type: TargetType,
    settings: MonitorSettings,
) -> EvalMonitor:
    now = clock.now()
    row = EvalMonitor(
        id=monitor_id,
        project_id=project_id,
        target_type=target_type,
        status=MonitorStatus.ACTIVE,
        created_at=now,
        updated_at=now,
        **asdict(settings),
    )
    db.add(row)
    await db.flush()
    return row


async def find(db: Reader, monitor_id: UUID) -> EvalMonitor | None:
    """Finds a monitor of any project, for the reconciliation of rows and schedules."""
    return await db.get(EvalMonitor, monitor_id, populate_existing=True)


async def get(db: Reader, project_id: ProjectId, monitor_id: UUID) -> EvalMonitor:
    """Raises NotFound."""
    row = await find(db, monitor_id)
    if row is None or row.project_id != project_id:
        raise NotFound("monitor", monitor_id)
    return row


async def lock(db: Writer, project_id: ProjectId, monitor_id: UUID) -> EvalMonitor:
    """Locks the row until the transaction ends. Raises NotFound."""
    return await lock_row(db, EvalMonitor, project_id, monitor_id, "monitor")


async def page(
    db: Reader, project_id: ProjectId, *, status: MonitorStatus | None, page: Page
) -> tuple[list[EvalMonitor], int]:
    """Newest first, and the total."""
    where = [col(EvalMonitor.project_id) == project_id]
    if status is not None:
        where.append(col(EvalMonitor.status) == status)
    newest_first = (col(EvalMonitor.created_at).desc(), col(EvalMonitor.id).desc())
    return await paging.fetch(db, select(EvalMonitor).where(*where).order_by(*newest_first), page)


async def page_of_runs(
    db: Reader, project_id: ProjectId, monitor_id: UUID, page: Page
) -> tuple[list[EvalRun], int]:
    """Newest first, and the total."""
    where = (col(EvalRun.project_id) == project_id, col(EvalRun.monitor_id) == monitor_id)
    newest_first = (col(EvalRun.created_at).desc(), col(EvalRun.id).desc())
    return await paging.fetch(db, select(EvalRun).where(*where).order_by(*newest_first), page)


async def change(
    db: Writer, project_id: ProjectId, monitor_id: UUID, settings: MonitorSettings
) -> EvalMonitor:
    """Raises NotFound."""
    row = await lock(db, project_id, monitor_id)
    for name, value in asdict(settings).items():
        setattr(row, name, value)
    _touch(row)
    return row


async def set_status(
    db: Writer, project_id: ProjectId, monitor_id: UUID, status: MonitorStatus
) -> EvalMonitor:
    """No effect if the monitor already has this status. Raises NotFound."""
    row = await lock(db, project_id, monitor_id)
    if row.status is not status:
        row.status = status
        row.failures = 0
        # The reason of the pause no longer applies; a new failure writes its own reason.
        row.last_error = None
        _touch(row)
    return row


async def pause_unless_changed(db: Writer, seen: EvalMonitor, reason: str) -> None:
    """Pauses the monitor because its schedule was paused in Temporal, unless the row has
    changed.
    """
    row = await db.get(EvalMonitor, seen.id, with_for_update=True, populate_existing=True)
    if row is None or row.revision != seen.revision:
        return
    row.status = MonitorStatus.PAUSED
    row.last_error = reason
    _touch(row)


def _touch(row: EvalMonitor) -> None:
    row.revision += 1
    row.updated_at = clock.now()


async def remove(db: Writer, project_id: ProjectId, monitor_id: UUID) -> None:
    """Deletes the monitor; its runs stay. Raises NotFound."""
    await lock(db, project_id, monitor_id)
    await db.execute(
        update(EvalRun)
        .where(col(EvalRun.project_id) == project_id, col(EvalRun.monitor_id) == monitor_id)
        .values(monitor_id=None)
    )
    await db.execute(delete(EvalMonitor).where(col(EvalMonitor.id) == monitor_id))


async def has_run_under_way(db: Reader, monitor_id: UUID) -> bool:
    rows = await db.execute(
        select(col(EvalRun.id))
        .where(
            col(EvalRun.monitor_id) == monitor_id,
            col(EvalRun.status).in_([RunStatus.PENDING, RunStatus.RUNNING]),
        )
        .limit(1)
    )
    return rows.first() is not None


async def open_run(db: Writer, monitor: EvalMonitor, run_id: RunId, model: str) -> EvalRun:
    """Creates the monitor's next run.

    `monitor` is locked; `model` is the default for a monitor without a model.
    """
    row = await run_rows.create(
        db,
        NewRun(
            spec=RunSpec(
                run_id=run_id,
                project_id=monitor.project_id,
                target_type=monitor.target_type,
                name=f"[Monitor] {monitor.name}",
                metric_names=monitor.metric_names,
                sampling_rate=monitor.sampling_rate,
                model=monitor.model or model,
                monitor_id=monitor.id,
                signal_weights=monitor.signal_weights,
                bundle=monitor.bundle,
                max_cost_usd=monitor.max_cost_usd,
                max_tokens=monitor.max_tokens,
            ),
            filters=monitor.filters,
        ),
    )
    monitor.last_run_at, monitor.last_run_id = row.created_at, row.id
    monitor.last_error, monitor.failures = None, 0
    return row


MAX_FAILURES: Final = 5
"""A monitor is paused after this many consecutive due times at which no run could be opened."""


async def record_failure(db: Writer, project_id: ProjectId, monitor_id: UUID, reason: str) -> int:
    """Returns how many consecutive due times have failed, including this one. Raises NotFound."""
    row = await lock(db, project_id, monitor_id)
    row.last_error = reason
    row.failures += 1
    if row.failures >= MAX_FAILURES and row.status is MonitorStatus.ACTIVE:
        row.status = MonitorStatus.PAUSED
        _touch(row)
    return row.failures


async def record_skip(db: Writer, project_id: ProjectId, monitor_id: UUID, reason: str) -> None:
    """Records why no run was opened this time. Raises NotFound."""
    (await lock(db, project_id, monitor_id)).last_error = reason


async def keep_skipped(
    db: Writer, monitor_id: UUID, *, by_outage: int, by_overlap: int
) -> EvalMonitor | None:
    """Stores the numbers of due times without a run, and returns the row; None if it no longer
    exists.
    """
    await db.execute(
        update(EvalMonitor)
        .where(col(EvalMonitor.id) == monitor_id)
        .values(skipped_by_outage=by_outage, skipped_by_overlap=by_overlap)
    )
    return await find(db, monitor_id)


async def everyone(db: Reader) -> Sequence[EvalMonitor]:
    """Monitors of every project."""
    return (await db.execute(select(EvalMonitor).order_by(col(EvalMonitor.id)))).scalars().all()


async def out_of_sync(db: Reader, *, limit: int) -> Sequence[UUID]:
    """Monitors of every project with a revision that their schedule lacks."""
    rows = await db.execute(
        select(col(EvalMonitor.id))
        .where(col(EvalMonitor.applied_revision) != col(EvalMonitor.revision))
        .order_by(col(EvalMonitor.updated_at))
        .limit(limit)
    )
    return rows.scalars().all()


async def mark_synced(
    db: Writer, monitor_id: UUID, *, revision: int, next_run_at: datetime | None
) -> None:
    await db.execute(
        update(EvalMonitor)
        .where(col(EvalMonitor.id) == monitor_id)
        .values(applied_revision=revision, next_run_at=next_run_at)
    )
