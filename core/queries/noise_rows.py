"""Rows of noise measurements: the pairs to judge again, and the differences of their scores."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlmodel import col

from core.db import paging
from core.db.database import Reader, Writer
from core.db.paging import Page
from core.db.tables import EvalRun, MetricNoise, NoiseMeasurement, Score
from core.errors import Conflict, Invalid, NotFound
from core.ids import ProjectId, RunStatus
from core.queries import chosen_pairs, run_pairs, run_rows, run_targets
from core.queries.chosen_pairs import Origin
from core.queries.noise_settling import ORIGIN
from core.queries.run_sampling import Sampler

_TARGETS_PER_READ: Final = 5_000
_MAX_MEASUREMENTS_READ: Final = 1_000

Judged = tuple[str, str | None, str]
"""A metric, its version and the judge's model."""


async def create(
    db: Writer, project_id: ProjectId, run_id: UUID, *, sample: int, seed: int
) -> EvalRun:
    """Creates a run that judges a sample of a run's pairs again, without stored judgements.

    The sample has `sample` targets, each with all metrics that gave it a number. Each metric
    therefore gets up to `sample` pairs, and bundled metrics stay together. The same seed draws the
    same targets. Raises NotFound, Conflict while the run is open, and Invalid if no pair has a
    number or the run is being deleted by age.
    """
    old = await run_rows.lock(db, project_id, run_id)
    if not old.status.terminal:
        raise Conflict("This run is still open; measure its judge's noise when it has ended.")
    await run_targets.check_whole(db, old)
    drawn = await _drawn(db, project_id, old, sample=sample, seed=seed)
    gone = await run_targets.deleted(db, project_id, old.target_type, drawn)
    pairs = await _numbered_pairs(db, project_id, old, [one for one in drawn if one not in gone])
    if not pairs:
        raise Invalid("This run has no pair with a number that could be judged again.")
    new = await chosen_pairs.create_run(db, old, pairs, Origin("Noise", ORIGIN), fresh=True)
    db.add(
        NoiseMeasurement(
            id=new.id,
            project_id=project_id,
            run_id=old.id,
            model=old.model,
            sample=sample,
            seed=seed,
            status=RunStatus.RUNNING,
            created_at=new.created_at,
        )
    )
    await db.flush()
    return new


async def _drawn(
    db: Reader, project_id: ProjectId, run: EvalRun, *, sample: int, seed: int
) -> list[str]:
    target = col(Score.target_id)
    numbered = (
        select(target)
        .where(*run_pairs.of_run(project_id, run), col(Score.number).is_not(None))
        .group_by(target)
    )
    count = await db.scalar(select(func.count()).select_from(numbered.subquery())) or 0
    sampler = Sampler(picked=min(sample, count), of=count, seed=seed)
    drawn: list[str] = []
    after = ""
    while page := list(
        await db.scalars(numbered.where(target > after).order_by(target).limit(_TARGETS_PER_READ))
    ):
        drawn += [one for one in page if sampler.takes_next()]
        after = page[-1]
    return drawn


async def _numbered_pairs(
    db: Reader, project_id: ProjectId, run: EvalRun, targets: Sequence[str]
) -> list[tuple[str, list[str]]]:
    """The targets with the metrics that gave them a number, in the order of the run."""
    rows = await db.execute(
        select(col(Score.target_id), col(Score.name)).where(
            *run_pairs.of_run(project_id, run),
            col(Score.number).is_not(None),
            col(Score.target_id).in_(targets),
        )
    )
    numbered = {(target, metric) for target, metric in rows}
    pairs = [
        (target, [name for name in run.metric_names if (target, name) in numbered])
        for target in targets
    ]
    return [(target, metrics) for target, metrics in pairs if metrics]


async def get(db: Reader, project_id: ProjectId, measurement_id: UUID) -> NoiseMeasurement:
    """Raises NotFound."""
    found = await _find(db, project_id, measurement_id)
    if found is None:
        raise NotFound("noise measurement", measurement_id)
    return found


async def _find(db: Reader, project_id: ProjectId, measurement_id: UUID) -> NoiseMeasurement | None:
    rows = await db.execute(
        select(NoiseMeasurement).where(
            col(NoiseMeasurement.project_id) == project_id,
            col(NoiseMeasurement.id) == measurement_id,
        )
    )
    return rows.scalar_one_or_none()


async def page(db: Reader, project_id: ProjectId, page: Page) -> tuple[list[NoiseMeasurement], int]:
    """Newest first, and the total."""
    query = (
        select(NoiseMeasurement)
        .where(col(NoiseMeasurement.project_id) == project_id)
        .order_by(col(NoiseMeasurement.created_at).desc(), col(NoiseMeasurement.id).desc())
    )
    return await paging.fetch(db, query, page)


async def of_measurements(
    db: Reader, project_id: ProjectId, ids: Sequence[UUID]
) -> dict[UUID, list[MetricNoise]]:
    """The results of each measurement, by metric."""
    rows = await db.scalars(
        select(MetricNoise)
        .where(col(MetricNoise.project_id) == project_id, col(MetricNoise.measurement_id).in_(ids))
        .order_by(col(MetricNoise.metric))
    )
    found: dict[UUID, list[MetricNoise]] = {measurement: [] for measurement in ids}
    for row in rows:
        found[row.measurement_id].append(row)
    return found


async def newest(
    db: Reader, project_id: ProjectId, judged: Sequence[Judged]
) -> dict[Judged, MetricNoise]:
    """The newest measurement by metric, version and judge."""
    named: list[Any] = [
        col(MetricNoise.metric),
        col(MetricNoise.metric_version),
        col(MetricNoise.model),
    ]
    asked = [(metric, version or "", model) for metric, version, model in judged]
    rows = await db.scalars(
        select(MetricNoise)
        .where(col(MetricNoise.project_id) == project_id, tuple_(*named).in_(asked))
        .order_by(col(MetricNoise.created_at).desc(), col(MetricNoise.measurement_id).desc())
        .limit(_MAX_MEASUREMENTS_READ)
    )
    found: dict[Judged, MetricNoise] = {}
    for row in rows:
        found.setdefault((row.metric, row.metric_version or None, row.model), row)
    return found
