"""Reads the scores of a comparison page by page, with the labels that pair them."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlmodel import col

from core.db import paging
from core.db.database import Reader
from core.db.tables import EvalRun, Score, Trace, TraceTag
from core.ids import ProjectId, ScoreStatus, TargetType
from core.pairing import Key, KeyedScore, TargetLabels
from core.queries import run_pairs

SCORES_PER_PAGE: Final = 1_000
"""A read of so many blocks the process for some milliseconds."""


async def count(db: Reader, project_id: ProjectId, run: EvalRun, metrics: Sequence[str]) -> int:
    """The number of ended pairs of these metrics."""
    number = await db.scalar(
        select(func.count())
        .select_from(Score)
        .where(*run_pairs.of_run(project_id, run), col(Score.name).in_(metrics))
    )
    return number or 0


async def pages(
    db: Reader, project_id: ProjectId, run: EvalRun, metrics: Sequence[str], key: Key
) -> AsyncIterator[list[tuple[str, KeyedScore]]]:
    """The ended pairs of the run by one of the metrics, each with its metric."""
    place = (col(Score.target_id), col(Score.name))
    query = (
        select(*place, *(col(one) for one in (Score.id, Score.status, Score.number)))
        .where(*run_pairs.of_run(project_id, run), col(Score.name).in_(metrics))
        .order_by(*place)
        .limit(SCORES_PER_PAGE)
    )
    rows = (await db.execute(query)).all()
    while rows:
        labels = await _labels(db, project_id, run, [row.target_id for row in rows], key)
        yield [
            (
                row.name,
                KeyedScore(
                    row.id,
                    *key.place(row.target_id, labels.get(row.target_id)),
                    failed=row.status is ScoreStatus.FAILED,
                    number=row.number,
                ),
            )
            for row in rows
        ]
        after = (rows[-1].target_id, rows[-1].name)
        rows = (await db.execute(query.where(tuple_(*place) > tuple_(*after)))).all()


async def _labels(
    db: Reader, project_id: ProjectId, run: EvalRun, targets: Sequence[str], key: Key
) -> dict[str, TargetLabels]:
    """The sessions of traces; their metadata and tags only if the key needs them."""
    labels: dict[str, TargetLabels] = {}
    if run.target_type is not TargetType.TRACE:
        return labels
    columns: list[Any] = [col(Trace.id), col(Trace.session_id)]
    if key.needs_labels:
        columns.append(col(Trace.meta))
    for part in paging.chunks(sorted({UUID(target) for target in targets})):
        rows = await db.execute(
            select(*columns).where(col(Trace.project_id) == project_id, col(Trace.id).in_(part))
        )
        tags = await _tags(db, project_id, part) if key.needs_labels else {}
        for trace_id, session, *meta in rows:
            labels[str(trace_id)] = TargetLabels(
                session, meta[0] if meta else {}, tuple(tags.get(trace_id, ()))
            )
    return labels


async def _tags(db: Reader, project_id: ProjectId, ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    tags: dict[UUID, list[str]] = {}
    rows = await db.execute(
        select(col(TraceTag.trace_id), col(TraceTag.tag)).where(
            col(TraceTag.project_id) == project_id, col(TraceTag.trace_id).in_(ids)
        )
    )
    for trace_id, tag in rows:
        tags.setdefault(trace_id, []).append(tag)
    return tags
