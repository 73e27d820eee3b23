"""The models that unfinished runs and active monitors will ask."""

from sqlalchemy import select, union
from sqlmodel import col

from core.db.database import Reader
from core.db.tables import EvalMonitor, EvalRun
from core.ids import MonitorStatus


async def find(db: Reader) -> set[str]:
    runs = select(col(EvalRun.model)).where(col(EvalRun.completed_at).is_(None))
    monitors = select(col(EvalMonitor.model)).where(
        col(EvalMonitor.status) == MonitorStatus.ACTIVE, col(EvalMonitor.model).is_not(None)
    )
    found: set[str] = set((await db.scalars(union(runs, monitors))).all())
    return found
