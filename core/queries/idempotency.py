"""Idempotency keys: the same POST sent twice creates one run."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.engine import CursorResult
from sqlmodel import col

from core import clock, dialect
from core.database import Reader, Writer
from core.errors import Conflict
from core.ids import ProjectId, RunId
from core.tables import IdempotencyKey, metadata

_LIVES_FOR_SECONDS = 24 * 3600.0
_KEYS = metadata.tables["idempotency_key"]


@dataclass(frozen=True, slots=True)
class Request:
    """`body_hash` covers everything that makes two requests the same."""

    project_id: ProjectId
    key: str
    body_hash: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """`response` is None while the first request is still being answered."""

    run_id: RunId
    response: dict[str, Any] | None


async def find(db: Reader, request: Request) -> Earlier | None:
    """What the key was used for within its day. Raises Conflict if for another request."""
    row = await db.scalar(
        select(IdempotencyKey).where(
            col(IdempotencyKey.project_id) == request.project_id,
            col(IdempotencyKey.key) == request.key,
            col(IdempotencyKey.created_at) >= clock.seconds_ago(_LIVES_FOR_SECONDS),
        )
    )
    if row is None:
        return None
    if row.body_hash != request.body_hash:
        raise Conflict("This Idempotency-Key was used for another request within 24 hours.")
    return Earlier(RunId(row.run_id), row.response)


async def claim(db: Writer, request: Request, run_id: RunId) -> bool:
    """Takes the key for this run until the transaction ends; False where another has it.

    A rival's open transaction is waited for, so that exactly one of them succeeds.
    """
    await db.execute(
        delete(IdempotencyKey).where(
            col(IdempotencyKey.project_id) == request.project_id,
            col(IdempotencyKey.created_at) < clock.seconds_ago(_LIVES_FOR_SECONDS),
        )
    )
    statement = dialect.insert(db.get_bind().dialect.name, _KEYS).values(
        project_id=request.project_id,
        key=request.key,
        body_hash=request.body_hash,
        run_id=run_id,
        created_at=clock.now(),
    )
    result = await db.execute(statement.on_conflict_do_nothing())
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


async def keep_response(db: Writer, request: Request, response: dict[str, Any]) -> None:
    await db.execute(
        update(IdempotencyKey)
        .where(
            col(IdempotencyKey.project_id) == request.project_id,
            col(IdempotencyKey.key) == request.key,
        )
        .values(response=response)
    )


async def release(db: Writer, project_id: ProjectId, run_id: UUID) -> None:
    """The run never came to be: its key is free again."""
    await db.execute(
        delete(IdempotencyKey).where(
            col(IdempotencyKey.project_id) == project_id, col(IdempotencyKey.run_id) == run_id
        )
    )
