"""Measurements of the noise of judges: how much scores differ when the same items are judged
again.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api import errors
from api.dependencies import CurrentStack, ReadProject
from api.http.json_body import JsonRoute
from api.runs import model_choice
from api.runs.run_opener import Opener
from api.schemas.noise import NoiseBody, NoiseRequest
from api.schemas.pages import PageOf, PageQuery
from core.db.database import Reader
from core.queries import noise_rows, run_rows

router = APIRouter(prefix="/evaluations/noise", tags=["Comparisons"], route_class=JsonRoute)


@router.post(
    "",
    status_code=202,
    summary="Measure the noise of a judge",
    description=(
        "Judges a random sample of a run's pairs again, without stored judgements, in a separate "
        "run. Comparisons by the same judge and metric version then show the smallest difference "
        "beyond the noise."
    ),
    responses=errors.responses(404, 409, 413, 415),
)
async def measure_noise(body: NoiseRequest, opener: Opener, stack: CurrentStack) -> NoiseBody:
    project = opener.project

    async def check(db: Reader) -> None:
        run = await run_rows.get(db, project, body.run_id)
        await model_choice.check(stack, db, run.target_type, (run.model, run.metric_names))

    opened = await opener.open(
        check,
        lambda db: noise_rows.create(db, project, body.run_id, sample=body.sample, seed=body.seed),
        body.model_dump(mode="json"),
    )
    opened_id = opened["id"] if isinstance(opened, dict) else opened.id
    async with stack.database.read() as db:
        row = await noise_rows.get(db, project, UUID(str(opened_id)))
        return NoiseBody.of(row, (await noise_rows.of_measurements(db, project, [row.id]))[row.id])


@router.get("", summary="List noise measurements, newest first", responses=errors.responses())
async def list_noise(
    query: Annotated[PageQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[NoiseBody]:
    async with stack.database.read() as db:
        rows, total = await noise_rows.page(db, project, query.page)
        found = await noise_rows.of_measurements(db, project, [row.id for row in rows])
    return PageOf.of(query, [NoiseBody.of(row, found[row.id]) for row in rows], total)


@router.get("/{measurement_id}", summary="Get a noise measurement", responses=errors.responses(404))
async def get_noise(measurement_id: UUID, project: ReadProject, stack: CurrentStack) -> NoiseBody:
    async with stack.database.read() as db:
        row = await noise_rows.get(db, project, measurement_id)
        found = await noise_rows.of_measurements(db, project, [row.id])
    return NoiseBody.of(row, found[row.id])
