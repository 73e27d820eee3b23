"""Reads for the estimate of a run: random matching traces, and the usage of earlier answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import col

from core import clock
from core.db.database import Reader
from core.db.tables import Score, Trace
from core.filters import TraceFilters
from core.ids import ProjectId, ScoreSource, ScoreStatus, TargetType
from core.queries import trace_reads
from core.queries.run_sampling import Sampler

HISTORY_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class History:
    """The usage of recent answers about one metric, per judged pair."""

    pairs: int
    completion_tokens: float


async def matching(db: Reader, project_id: ProjectId, filters: TraceFilters) -> int:
    ids = trace_reads.matching_ids(project_id, filters).order_by(None).subquery()
    return await db.scalar(select(func.count()).select_from(ids)) or 0


async def random_ids(
    db: Reader, project_id: ProjectId, filters: TraceFilters, *, count: int, of: int
) -> list[UUID]:
    """`count` random ids among the `of` matching traces.

    The same matching traces give the same ids.
    """
    sampler = Sampler(picked=count, of=of, seed=project_id.int)
    ids = await db.stream_scalars(trace_reads.matching_ids(project_id, filters))
    return [trace_id async for trace_id in ids if sampler.takes_next()]


async def histories(
    db: Reader, project_id: ProjectId, metrics: Sequence[str]
) -> dict[str, History]:
    """Histories by metric, from pairs of the last HISTORY_DAYS with a paid answer."""
    rows = await db.execute(
        select(col(Score.name), func.count(), func.avg(col(Score.completion_tokens)))
        .where(
            col(Score.project_id) == project_id,
            col(Score.target_type) == TargetType.TRACE,
            col(Score.name).in_(metrics),
            col(Score.created_at) >= clock.seconds_ago(HISTORY_DAYS * 86_400),
            col(Score.source) == ScoreSource.AUTOMATED,
            col(Score.status) == ScoreStatus.SUCCESS,
            col(Score.completion_tokens) > 0,
        )
        .group_by(col(Score.name))
    )
    return {name: History(pairs, float(average)) for name, pairs, average in rows}


async def known_pairs(
    db: Reader,
    project_id: ProjectId,
    trace_ids: Sequence[UUID],
    *,
    versions: Mapping[str, str],
    model: str,
) -> int:
    """Pairs that this metric version and model have judged since the last change of the trace.

    A run finds their answers in the cache.
    """
    changed = dict(
        (
            await db.execute(
                select(col(Trace.id), col(Trace.updated_at)).where(
                    col(Trace.project_id) == project_id, col(Trace.id).in_(trace_ids)
                )
            )
        ).all()
    )
    rows = await db.execute(
        select(col(Score.target_id), col(Score.name), col(Score.created_at), col(Score.meta)).where(
            col(Score.project_id) == project_id,
            col(Score.target_type) == TargetType.TRACE,
            col(Score.target_id).in_([str(trace_id) for trace_id in changed]),
            col(Score.name).in_(versions),
            col(Score.source) == ScoreSource.AUTOMATED,
            col(Score.status) == ScoreStatus.SUCCESS,
        )
    )
    return len(
        {
            (target, name)
            for target, name, created_at, meta in rows
            if meta.get("metric_version") == versions[name]
            and (meta.get("judge") or {}).get("model") == model
            and created_at >= changed[UUID(target)]
        }
    )
