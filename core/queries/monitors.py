"""Monitor rows: what is judged again and again, and what came of it last."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlmodel import col

from core import clock
from core.database import Reader, Writer
from core.errors import NotFound
from core.ids import MonitorId, MonitorStatus, ProjectId, RunId, RunStatus, TargetType
from core.paging import Page
from core.queries import runs
from core.queries.runs import NewRun
from core.tables import EvalMonitor, EvalRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a client may change. `filters` is JSON as given, nulls left out."""

    name: str
    metric_names: list[str]
    filters: dict[str, Any]
    sampling_rate: float
    model: str | None
    cadence: str
    only_if_changed: bool


async def create(
    db: Writer,
    project_id: ProjectId,
    monitor_id: MonitorId,
    target_type: TargetType,
    settings: Settings,
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
    """Of whichever project: for those who keep rows and schedules together."""
    return await db.get(EvalMonitor, monitor_id, populate_existing=True)


async def get(db: Reader, project_id: ProjectId, monitor_id: UUID) -> EvalMonitor:
    """Raises NotFound."""
    row = await find(db, monitor_id)
    if row is None or row.project_id != project_id:
        raise NotFound("monitor", monitor_id)
    return row


async def lock(db: Writer, project_id: ProjectId, monitor_id: UUID) -> EvalMonitor:
    """The row, held against other writers until the transaction ends. Raises NotFound."""
    found = await db.execute(
        select(EvalMonitor)
        .where(col(EvalMonitor.project_id) == project_id, col(EvalMonitor.id) == monitor_id)
        .with_for_update()
    )
    row = found.scalar_one_or_none()
    if row is None:
        raise NotFound("monitor", monitor_id)
    return row


async def page(
    db: Reader, project_id: ProjectId, *, status: MonitorStatus | None, page: Page
) -> tuple[list[EvalMonitor], int]:
    """Newest first, and how many there are in all."""
    where = [col(EvalMonitor.project_id) == project_id]
    if status is not None:
        where.append(col(EvalMonitor.status) == status)
    total = await db.scalar(select(func.count()).select_from(EvalMonitor).where(*where))
    rows = await db.execute(
        select(EvalMonitor)
        .where(*where)
        .order_by(col(EvalMonitor.created_at).desc(), col(EvalMonitor.id).desc())
        .limit(page.limit)
        .offset(page.offset)
    )
    return list(rows.scalars()), total or 0


async def page_of_runs(
    db: Reader, project_id: ProjectId, monitor_id: UUID, page: Page
) -> tuple[list[EvalRun], int]:
    """Newest first, and how many there are in all."""
    where = (col(EvalRun.project_id) == project_id, col(EvalRun.monitor_id) == monitor_id)
    total = await db.scalar(select(func.count()).select_from(EvalRun).where(*where))
    rows = await db.execute(
        select(EvalRun)
        .where(*where)
        .order_by(col(EvalRun.created_at).desc(), col(EvalRun.id).desc())
        .limit(page.limit)
        .offset(page.offset)
    )
    return list(rows.scalars()), total or 0


async def change(
    db: Writer, project_id: ProjectId, monitor_id: UUID, settings: Settings
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
    """A status it has already changes nothing. Raises NotFound."""
    row = await lock(db, project_id, monitor_id)
    if row.status is not status:
        row.status = status
        _touch(row)
    return row


def _touch(row: EvalMonitor) -> None:
    row.revision += 1
    row.updated_at = clock.now()


async def remove(db: Writer, project_id: ProjectId, monitor_id: UUID) -> None:
    """Its runs stay, without their monitor. Raises NotFound."""
    await lock(db, project_id, monitor_id)
    await db.execute(
        update(EvalRun)
        .where(col(EvalRun.project_id) == project_id, col(EvalRun.monitor_id) == monitor_id)
        .values(monitor_id=None)
    )
    await db.execute(delete(EvalMonitor).where(col(EvalMonitor.id) == monitor_id))


async def has_run_under_way(db: Reader, monitor_id: UUID) -> bool:
    found = await db.execute(
        select(col(EvalRun.id))
        .where(
            col(EvalRun.monitor_id) == monitor_id,
            col(EvalRun.status).in_([RunStatus.PENDING, RunStatus.RUNNING]),
        )
        .limit(1)
    )
    return found.first() is not None


async def open_run(db: Writer, monitor: EvalMonitor, run_id: RunId, model: str) -> EvalRun:
    """The monitor's next run. `monitor` is locked; `model` counts where it names none."""
    row = await runs.create(
        db,
        NewRun(
            id=run_id,
            project_id=ProjectId(monitor.project_id),
            target_type=monitor.target_type,
            name=f"[Monitor] {monitor.name}",
            metric_names=monitor.metric_names,
            filters=monitor.filters,
            sampling_rate=monitor.sampling_rate,
            model=monitor.model or model,
            monitor_id=monitor.id,
        ),
    )
    monitor.last_run_at, monitor.last_run_id = row.created_at, row.id
    return row


async def everyone(db: Reader) -> Sequence[EvalMonitor]:
    """Of every project."""
    return (await db.execute(select(EvalMonitor).order_by(col(EvalMonitor.id)))).scalars().all()


async def untold(db: Reader, *, limit: int) -> Sequence[UUID]:
    """Monitors of every project whose schedule does not know their newest revision."""
    found = await db.execute(
        select(col(EvalMonitor.id))
        .where(col(EvalMonitor.applied_revision) != col(EvalMonitor.revision))
        .order_by(col(EvalMonitor.updated_at))
        .limit(limit)
    )
    return found.scalars().all()


async def mark_told(
    db: Writer, monitor_id: UUID, *, revision: int, next_run_at: datetime | None
) -> None:
    await db.execute(
        update(EvalMonitor)
        .where(col(EvalMonitor.id) == monitor_id)
        .values(applied_revision=revision, next_run_at=next_run_at)
    )
