"""Computes the noise of a judge when the run that judges the pairs again ends."""

from typing import Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from core import clock
from core.db import sql_functions
from core.db.database import Reader, Writer
from core.db.tables import EvalRun, MetricNoise, NoiseMeasurement, Score
from core.ids import ProjectId, RunStatus
from core.queries import score_versions
from core.statistics import noise

ORIGIN: Final = "noise_of"
"""The filter of a run that measures noise: the id of the run whose pairs it judges again."""


async def settle(db: Writer, project_id: ProjectId, run: EvalRun) -> None:
    """Writes the differences of the scores after the run `run` has ended. Idempotent.

    Omits pairs whose metric has another version now, because their scores differ for that reason.
    """
    if ORIGIN not in run.filters:
        return
    row = await db.scalar(
        select(NoiseMeasurement).where(
            col(NoiseMeasurement.project_id) == project_id, col(NoiseMeasurement.id) == run.id
        )
    )
    if row is None or row.status.terminal:
        return
    row.status = run.status
    if run.status is RunStatus.FAILED:
        return
    for metric in run.metric_names:
        differences = await _differences(db, project_id, (row.run_id, run.id), metric)
        versions = [
            (await score_versions.of_run(db, project_id, run_id, metric))[1]
            for run_id in (row.run_id, run.id)
        ]
        if not differences or versions[0] != versions[1]:
            continue
        db.add(
            MetricNoise(
                measurement_id=row.id,
                project_id=project_id,
                metric=metric,
                metric_version=versions[1] or "",
                model=run.model,
                pairs=len(differences),
                spread=noise.spread(differences),
                mean_difference=sum(differences) / len(differences),
                created_at=clock.now(),
            )
        )


async def _differences(
    db: Reader, project_id: ProjectId, runs: tuple[UUID, UUID], metric: str
) -> list[float]:
    first, again = aliased(Score), aliased(Score)
    rows = await db.scalars(
        select(col(again.number) - col(first.number))
        .select_from(first)
        .join(again, col(again.target_id) == col(first.target_id))
        .where(
            *(sql_functions.unindexed(col(one.project_id)) == project_id for one in (first, again)),
            *(col(one.name) == metric for one in (first, again)),
            *(col(one.number).is_not(None) for one in (first, again)),
            col(first.eval_run_id) == runs[0],
            col(again.eval_run_id) == runs[1],
        )
    )
    return [difference for difference in rows if difference is not None]


async def forget_open(db: Writer, project_id: ProjectId, run_id: UUID) -> None:
    """Deletes the measurement of a run that is deleted before its end."""
    await db.execute(
        delete(NoiseMeasurement).where(
            col(NoiseMeasurement.project_id) == project_id,
            col(NoiseMeasurement.id) == run_id,
            col(NoiseMeasurement.status) == RunStatus.RUNNING,
        )
    )
