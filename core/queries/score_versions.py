"""Versions of a metric among the scores of a project."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from core.db import sql_functions
from core.db.database import Reader
from core.db.tables import Score
from core.ids import ProjectId, ScoreSource, TargetType

NEWEST_READ: Final = 500
"""Versions are stored in the metadata, which no index covers, so only this many scores are read."""


@dataclass(slots=True)
class MetricVersion:
    """A version of a metric among the newest scores."""

    version: str
    models: list[str]
    scores: int
    first: datetime
    last: datetime


async def of_metric(
    db: Reader, project_id: ProjectId, target_type: TargetType, name: str
) -> Sequence[MetricVersion]:
    """The versions among the `NEWEST_READ` newest scores, newest version first."""
    meta: Any = col(Score.meta)
    rows = await db.execute(
        select(meta.label("meta"), col(Score.created_at))
        .where(
            col(Score.project_id) == project_id,
            col(Score.target_type) == target_type,
            col(Score.name) == name,
            col(Score.source) == ScoreSource.AUTOMATED,
        )
        .order_by(col(Score.created_at).desc(), col(Score.id).desc())
        .limit(NEWEST_READ)
    )
    versions: dict[str, MetricVersion] = {}
    for row in rows:
        version = str(row.meta.get("metric_version") or "unknown")
        version_seen = versions.setdefault(
            version, MetricVersion(version, [], 0, row.created_at, row.created_at)
        )
        version_seen.scores += 1
        version_seen.first = row.created_at
        judge = row.meta.get("judge")
        model = str(judge.get("model", "")) if isinstance(judge, dict) else ""
        if model and model not in version_seen.models:
            version_seen.models.append(model)
    return list(versions.values())


async def of_run(
    db: Reader, project_id: ProjectId, run_id: UUID, metric: str
) -> tuple[float | None, str | None]:
    """The threshold and the version of a metric in a run; None without a number."""
    meta = await db.scalar(
        select(col(Score.meta))
        .where(
            sql_functions.unindexed(col(Score.project_id)) == project_id,
            col(Score.eval_run_id) == run_id,
            col(Score.name) == metric,
            col(Score.number).is_not(None),
        )
        .limit(1)
    )
    found: dict[str, Any] = meta or {}
    threshold, version = found.get("threshold"), found.get("metric_version")
    return (
        float(threshold) if isinstance(threshold, (int, float)) else None,
        str(version) if version is not None else None,
    )
