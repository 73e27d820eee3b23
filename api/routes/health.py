"""Is it up, can it work, what has it done."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api import errors
from api.dependencies import CurrentStack
from core.errors import Unavailable

router = APIRouter(tags=["Operations"])


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    status: Literal["ready"] = "ready"


@router.get("/health", summary="Is the process up?")
async def health() -> Health:
    return Health()


@router.get(
    "/ready",
    summary="Can it work?",
    description="Whether the database and Temporal can be reached; 503 names the one that cannot.",
    responses={503: {"model": errors.Problem, "description": "A needed server is away."}},
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
    summary="Counters for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format."}},
)
async def metrics(stack: CurrentStack) -> Response:
    return Response(stack.counters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
