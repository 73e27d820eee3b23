"""Reading scores. `core.queries.score_annotations` adds and changes them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import aliased, defer
from sqlmodel import col

from core.db import paging, predicates
from core.db.database import Reader
from core.db.paging import Page
from core.db.tables import EvalRun, Score
from core.filters import ScoreFilters
from core.ids import ProjectId, TargetType
from core.queries import run_pairs


async def page(
    db: Reader, project_id: ProjectId, filters: ScoreFilters, page: Page
) -> tuple[list[Score], int]:
    """Newest first, and the total."""
    found = select(Score).where(*predicates.scores_where(filters, project_id))
    newest_first = (col(Score.created_at).desc(), col(Score.id).desc())
    return await paging.fetch(db, found.order_by(*newest_first), page)


async def latest(
    db: Reader, project_id: ProjectId, target_type: TargetType, target_id: str
) -> list[Score]:
    """The newest score of each metric, ordered by metric name."""
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


async def of_target(
    db: Reader, project_id: ProjectId, target_type: TargetType, target_id: str
) -> list[Score]:
    """All scores of the target, newest first."""
    rows = await db.scalars(
        select(Score)
        .where(
            col(Score.project_id) == project_id,
            col(Score.target_type) == target_type,
            col(Score.target_id) == target_id,
        )
        .order_by(col(Score.created_at).desc(), col(Score.id).desc())
    )
    return list(rows)


async def latest_of_each(
    db: Reader, project_id: ProjectId, target_type: TargetType, target_ids: Sequence[str]
) -> dict[str, list[Score]]:
    """The newest score of each target and metric, grouped by target, without metadata."""
    rows = await db.scalars(
        select(Score)
        .options(defer(Score.meta, raiseload=True))  # type: ignore[arg-type]  # SQLModel's field
        .where(
            col(Score.project_id) == project_id,
            col(Score.target_type) == target_type,
            col(Score.target_id).in_(target_ids),
        )
    )
    newest: dict[str, dict[str, Score]] = {}
    # Sorted in Python: with ORDER BY, SQLite scans all scores in that order instead of finding
    # these.
    for row in sorted(rows, key=lambda row: (row.created_at, row.id)):
        newest.setdefault(row.target_id, {})[row.name] = row
    return {target: list(scores.values()) for target, scores in newest.items()}


async def of_run(
    db: Reader, project_id: ProjectId, run: EvalRun, *, after: tuple[str, str] | None, limit: int
) -> Sequence[Score]:
    """A run's scores ordered by target and metric, starting after the pair `after`."""
    place = (col(Score.target_id), col(Score.name))
    query = select(Score).where(*run_pairs.of_run(project_id, run))
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(*after))
    rows = await db.scalars(query.order_by(*place).limit(limit))
    return rows.all()


async def by_id(db: Reader, project_id: ProjectId, ids: Sequence[UUID]) -> dict[UUID, Score]:
    """The existing scores with these ids."""
    rows = await db.scalars(
        select(Score).where(col(Score.project_id) == project_id, col(Score.id).in_(ids))
    )
    return {row.id: row for row in rows}
