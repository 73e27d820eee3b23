"""Health checks, version and measures."""

from importlib import metadata
from typing import Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api import errors
from api.dependencies import CurrentStack
from api.http import strict_query
from core.errors import Unavailable

router = APIRouter(tags=["Operations"], dependencies=[Depends(strict_query.check)])


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    version: str = Field(description="The version of Assay.")


class Readiness(BaseModel):
    status: Literal["ready"] = "ready"


@router.get("/health", summary="Check the process")
async def health() -> Health:
    return Health(version=metadata.version("assay"))


@router.get(
    "/ready",
    summary="Check the database and Temporal",
    description="Answers 503 and names the server that cannot be reached.",
    responses={503: {"model": errors.Problem, "description": "A needed server is unavailable."}},
)
async def ready(stack: CurrentStack) -> Readiness:
    try:
        async with stack.database.read() as db:
            await db.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError) as error:
        raise Unavailable("The database", "Nothing can be read or stored.") from error
    try:
        await stack.runs.check_reachable()
    except Unavailable as error:
        raise Unavailable("Temporal", "No run can be started.") from error
    return Readiness()


@router.get(
    "/metrics",
    summary="Get Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format."}},
)
async def metrics(stack: CurrentStack) -> Response:
    return Response(
        stack.measures.text(
            await stack.run_counts.unfinished(), await stack.overdue_rows.seconds()
        ),
        media_type="text/plain; version=0.0.4; charset=utf-8",
    )
