"""Reading scores. How people make and change them is `core.queries.annotations`."""

from collections.abc import Sequence

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import aliased
from sqlmodel import col

from core.database import Reader
from core.filters import ScoreFilters
from core.ids import ProjectId, TargetType
from core.paging import Page
from core.queries import pairs, totals
from core.tables import EvalRun, Score


async def page(
    db: Reader, project_id: ProjectId, filters: ScoreFilters, page: Page
) -> tuple[list[Score], int]:
    """Newest first, and how many there are in all."""
    where = filters.where(project_id)
    total = await totals.count(db, select(func.count()).select_from(Score).where(*where))
    rows = await db.scalars(
        select(Score)
        .where(*where)
        .order_by(col(Score.created_at).desc(), col(Score.id).desc())
        .limit(page.limit)
        .offset(page.offset)
    )
    return list(rows), total


async def latest(
    db: Reader, project_id: ProjectId, target_type: TargetType, target_id: str
) -> list[Score]:
    """The newest score by each metric, by metric name."""
    ranked = (
        select(
            Score,
            func.row_number()
            .over(
                partition_by=col(Score.name),
                order_by=(col(Score.created_at).desc(), col(Score.id).desc()),
            )
            .label("age"),
        )
        .where(
            col(Score.project_id) == project_id,
            col(Score.target_type) == target_type,
            col(Score.target_id) == target_id,
        )
        .subquery()
    )
    newest = aliased(Score, ranked)
    rows = await db.scalars(select(newest).where(ranked.c.age == 1).order_by(col(newest.name)))
    return list(rows)


async def of_run(
    db: Reader, project_id: ProjectId, run: EvalRun, *, after: tuple[str, str] | None, limit: int
) -> Sequence[Score]:
    """A run's scores by target and metric, from behind the pair `after`."""
    place = (col(Score.target_id), col(Score.name))
    query = select(Score).where(*pairs.of_run(project_id, run))
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(*after))
    rows = await db.scalars(query.order_by(*place).limit(limit))
    return rows.all()
