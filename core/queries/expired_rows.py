"""What has expired: which projects have rows past their age, and how long past it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, delete, func, or_, select
from sqlmodel import col

from core.db.database import Reader, Writer
from core.db.tables import Project, metadata
from core.ids import ProjectId
from core.queries import budget_accounts, expired_runs
from core.retention import RetentionDays, RetentionKind

_TRACE: Final = metadata.tables["trace"]
_RUN: Final = metadata.tables["eval_run"]
_COMPARISON: Final = metadata.tables["comparison"]
_JUDGEMENT: Final = metadata.tables["judgement"]
_DAY: Final = metadata.tables["usage_day"]
_ACCOUNT: Final = metadata.tables["budget_account"]

_COLUMNS: Final = {kind: col(getattr(Project, f"retention_{kind}_days")) for kind in RetentionKind}


def days_of(project: Project, installation: RetentionDays) -> RetentionDays:
    """The days that hold for the project."""
    own = {kind: getattr(project, f"retention_{kind}_days") for kind in RetentionKind}
    return installation.overridden(own)


async def is_wanted(db: Reader, installation: RetentionDays) -> bool:
    """Whether any project deletes anything by age."""
    if installation.any:
        return True
    own = or_(*(column > 0 for column in _COLUMNS.values()))
    found = await db.scalar(select(col(Project.id)).where(own, _LIVE).limit(1))
    return found is not None


_LIVE: Final = col(Project.deleted_at).is_(None)


async def projects_after(
    db: Reader, installation: RetentionDays, *, after: UUID | None, limit: int
) -> Sequence[Project]:
    """Projects that delete anything by age, in the order of their ids."""
    query = select(Project).where(_LIVE).order_by(col(Project.id)).limit(limit)
    if after is not None:
        query = query.where(col(Project.id) > after)
    if not installation.any:
        query = query.where(or_(*(column > 0 for column in _COLUMNS.values())))
    return (await db.scalars(query)).all()


async def any_expired(db: Reader, project: Project, days: RetentionDays, now: datetime) -> bool:
    """Whether any row of the project is past its age; it may be one that must stay."""
    for kind, before in days.cutoffs(now):
        of_usage = kind is RetentionKind.USAGE
        cutoff = usage_cutoff(before, now) if of_usage else before
        queries = _first(ProjectId(project.id), kind, cutoff)
        if of_usage:
            queries.append(_old_accounts(project, cutoff))
        for query in queries:
            if (await db.execute(query.limit(1))).first() is not None:
                return True
    return False


def _first(project_id: ProjectId, kind: RetentionKind, before: datetime) -> list[Select[Any]]:
    match kind:
        case RetentionKind.TRACES:
            moment = _TRACE.c.ingested_at
            return [select(moment).where(_TRACE.c.project_id == project_id, moment < before)]
        case RetentionKind.RUNS:
            made = _COMPARISON.c.created_at
            return [
                select(_RUN.c.completed_at).where(*expired_runs.expired(project_id, before)),
                select(made).where(*expired_runs.expired_comparisons(project_id, before)),
            ]
        case RetentionKind.JUDGEMENTS:
            moment = _JUDGEMENT.c.created_at
            return [select(moment).where(_JUDGEMENT.c.project_id == project_id, moment < before)]
        case RetentionKind.USAGE:
            days = select(_DAY.c.day).where(_DAY.c.project_id == project_id)
            return [days.where(_DAY.c.day < last_kept_day(before))]


def last_kept_day(before: datetime) -> str:
    """The first day (UTC) whose usage stays: earlier days ended before the cutoff."""
    return f"{before:%Y-%m-%d}"


def usage_cutoff(before: datetime, now: datetime) -> datetime:
    """Never within the current month, whose usage the monthly budgets count."""
    month = budget_accounts.begin_of(budget_accounts.month_of(now))
    return min(before, month)


async def delete_judgements(
    db: Writer, project_id: ProjectId, before: datetime, *, limit: int
) -> int:
    """Deletes up to `limit` answers from before this moment; returns their number.

    Answers from after the creation of an unfinished run stay: the run may have paid for them and
    may read them again.
    """
    begun = await db.scalar(
        select(func.min(_RUN.c.created_at)).where(
            _RUN.c.project_id == project_id, _RUN.c.completed_at.is_(None)
        )
    )
    cutoff = before if begun is None else min(before, begun)
    old = (_JUDGEMENT.c.project_id == project_id, _JUDGEMENT.c.created_at < cutoff)
    some = select(_JUDGEMENT.c.key).where(*old).order_by(_JUDGEMENT.c.created_at).limit(limit)
    keys = list(await db.scalars(some))
    await db.execute(delete(_JUDGEMENT).where(*old, _JUDGEMENT.c.key.in_(keys)))
    return len(keys)


async def delete_usage(db: Writer, project_id: ProjectId, before: datetime, *, limit: int) -> int:
    """Deletes usage of days that ended before this moment, and returns the number of rows.

    Deletes one day per call, or a part of the day if it has more than `limit` rows.
    """
    of_project = _DAY.c.project_id == project_id
    day = await db.scalar(
        select(func.min(_DAY.c.day)).where(of_project, _DAY.c.day < last_kept_day(before))
    )
    if day is None:
        return 0
    runs = select(_DAY.c.run_id).where(of_project, _DAY.c.day == day).distinct().limit(limit)
    some = list(await db.scalars(runs))
    where = (of_project, _DAY.c.day == day, _DAY.c.run_id.in_(some))
    count = await db.scalar(select(func.count()).select_from(_DAY).where(*where)) or 0
    await db.execute(delete(_DAY).where(*where))
    return count


async def delete_accounts(db: Writer, project: Project, before: datetime) -> int:
    """Deletes the monthly budget accounts of months that ended before this moment."""
    found = list(await db.scalars(_old_accounts(project, before)))
    await db.execute(delete(_ACCOUNT).where(_ACCOUNT.c.id.in_(found)))
    return len(found)


def _old_accounts(project: Project, before: datetime) -> Select[Any]:
    month, ids = budget_accounts.month_of(project.created_at), []
    while (end := budget_accounts.end_of(month)) <= before:
        ids.append(budget_accounts.month_id(project.id, month))
        month = budget_accounts.month_of(end)
    return select(_ACCOUNT.c.id).where(_ACCOUNT.c.id.in_(ids))


@dataclass(frozen=True, slots=True)
class OverduePage:
    """`late`: by kind, how long the oldest row of any project of the page has been past its age.

    `after`: where the next page begins; None after the last project.
    """

    late: dict[RetentionKind, timedelta]
    after: UUID | None


MAX_PROJECTS_READ: Final = 1_000


async def overdue(
    db: Reader, installation: RetentionDays, now: datetime, *, after: UUID | None = None
) -> OverduePage:
    """Reads the next `MAX_PROJECTS_READ` projects, a few index look-ups each."""
    found: dict[RetentionKind, timedelta] = {}
    page = await projects_after(db, installation, after=after, limit=MAX_PROJECTS_READ)
    for project in page:
        for kind, cutoff in days_of(project, installation).cutoffs(now):
            if kind is RetentionKind.USAGE:
                continue
            moments = [
                moment
                for query in _first(ProjectId(project.id), kind, cutoff)
                if (moment := await db.scalar(query.order_by(*query.selected_columns).limit(1)))
            ]
            late = [cutoff - moment for moment in moments]
            found[kind] = max([*late, found.get(kind, timedelta())])
    return OverduePage(found, page[-1].id if len(page) == MAX_PROJECTS_READ else None)
