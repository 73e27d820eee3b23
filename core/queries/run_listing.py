"""Lists of runs, over traces and sessions alike."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, cast, select, type_coerce
from sqlmodel import col

from core.db import paging, sql_functions
from core.db.database import Reader
from core.db.paging import Page
from core.db.tables import EvalRun
from core.ids import ProjectId, RunStatus, TargetType
from core.queries import run_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilters:
    """All fields are optional and combined with AND.

    `since` is compared with the creation of a run.
    """

    name: str | None = None
    statuses: tuple[RunStatus, ...] = ()
    metric: str | None = None
    model: str | None = None
    target_type: TargetType | None = None
    monitor_id: UUID | None = None
    of_monitors: bool | None = None
    since: datetime | None = None
    paused: bool | None = None

    def where(self, project_id: ProjectId) -> list[ColumnElement[bool]]:
        predicates: list[ColumnElement[bool]] = [col(EvalRun.project_id) == project_id]
        # Both types are named, so that the index by target type applies.
        types = [self.target_type] if self.target_type else list(TargetType)
        predicates.append(col(EvalRun.target_type).in_(types))
        if self.name is not None:
            predicates.append(
                sql_functions.contains(type_coerce(col(EvalRun.name), Text), self.name)
            )
        predicates += self._states()
        if self.metric is not None:
            predicates.append(
                sql_functions.contains(cast(col(EvalRun.metric_names), Text), f'"{self.metric}"')
            )
        if self.model is not None:
            predicates.append(col(EvalRun.model) == self.model)
        if self.monitor_id is not None:
            predicates.append(col(EvalRun.monitor_id) == self.monitor_id)
        if self.of_monitors is not None:
            null = col(EvalRun.monitor_id).is_(None)
            predicates.append(~null if self.of_monitors else null)
        if self.since is not None:
            predicates.append(col(EvalRun.created_at) >= self.since)
        return predicates

    def _states(self) -> list[ColumnElement[bool]]:
        predicates: list[ColumnElement[bool]] = []
        if self.statuses:
            predicates.append(col(EvalRun.status).in_(self.statuses))
        if self.paused is not None:
            predicates.append(and_(*run_rows.PAUSED) if self.paused else ~and_(*run_rows.PAUSED))
        return predicates


class RunSortKey(StrEnum):
    CREATED = "created"
    TARGETS = "targets"
    FAILED = "failed"


_SORTED_BY: dict[RunSortKey, Any] = {
    RunSortKey.CREATED: col(EvalRun.created_at),
    RunSortKey.TARGETS: col(EvalRun.total_targets),
    RunSortKey.FAILED: col(EvalRun.failed_count),
}


async def page(
    db: Reader,
    project_id: ProjectId,
    filters: RunFilters,
    page: Page,
    sort_by: RunSortKey = RunSortKey.CREATED,
) -> tuple[list[EvalRun], int]:
    """The largest or newest first, and the total."""
    newest_first = col(EvalRun.created_at).desc(), col(EvalRun.id).desc()
    found = select(EvalRun).where(*filters.where(project_id))
    return await paging.fetch(db, found.order_by(_SORTED_BY[sort_by].desc(), *newest_first), page)


async def count(db: Reader, project_id: ProjectId, filters: RunFilters) -> int:
    return await db.totals.count(
        db, paging.count_of(select(EvalRun).where(*filters.where(project_id)))
    )


async def models(db: Reader, project_id: ProjectId) -> list[str]:
    """The judges of all runs of the project, in alphabetical order."""
    rows = await db.scalars(
        select(col(EvalRun.model))
        .where(col(EvalRun.project_id) == project_id)
        .distinct()
        .order_by(col(EvalRun.model))
    )
    return list(rows)
