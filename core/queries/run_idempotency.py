"""Idempotency keys: the same POST sent twice creates one run."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Self
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.engine import CursorResult
from sqlmodel import col

from core import clock, json_codec
from core.db import dialect
from core.db.database import Reader, Writer
from core.db.tables import IdempotencyKey, metadata
from core.errors import Conflict
from core.ids import ProjectId, RunId

KEY_LIFETIME_SECONDS: Final = 24 * 3600.0
_KEYS = metadata.tables["idempotency_key"]


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """`body_hash` covers everything that two equal requests share."""

    project_id: ProjectId
    key: str
    body_hash: str

    @classmethod
    def of(cls, project_id: ProjectId, key: str, *, path: str, body: object) -> Self:
        """`body` is JSON; the order of its keys does not matter."""
        content = path.encode() + b"\0" + json_codec.canonical(body)
        return cls(project_id, key, sha256(content).hexdigest())


@dataclass(frozen=True, slots=True)
class EarlierResponse:
    """`response` is None until the first request has been answered."""

    run_id: RunId
    response: dict[str, Any] | None


async def find(db: Reader, request: IdempotentRequest) -> EarlierResponse | None:
    """The response to the same request within 24 hours.

    Raises Conflict if the key was used for another request.
    """
    row = await db.scalar(
        select(IdempotencyKey).where(
            col(IdempotencyKey.project_id) == request.project_id,
            col(IdempotencyKey.key) == request.key,
            col(IdempotencyKey.created_at) >= clock.seconds_ago(KEY_LIFETIME_SECONDS),
        )
    )
    if row is None:
        return None
    if row.body_hash != request.body_hash:
        raise Conflict("This Idempotency-Key was used for another request within 24 hours.")
    return EarlierResponse(RunId(row.run_id), row.response)


async def claim(db: Writer, request: IdempotentRequest, run_id: RunId) -> bool:
    """Claims the key for this run; False if another run has it.

    Waits for the transaction of a concurrent claim, so that exactly one claim succeeds.
    """
    await db.execute(
        delete(IdempotencyKey).where(
            col(IdempotencyKey.project_id) == request.project_id,
            col(IdempotencyKey.created_at) < clock.seconds_ago(KEY_LIFETIME_SECONDS),
        )
    )
    statement = dialect.insert_missing(db, _KEYS).values(
        project_id=request.project_id,
        key=request.key,
        body_hash=request.body_hash,
        run_id=run_id,
        created_at=clock.now(),
    )
    result = await db.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


async def keep_response(db: Writer, request: IdempotentRequest, response: dict[str, Any]) -> None:
    await db.execute(
        update(IdempotencyKey)
        .where(
            col(IdempotencyKey.project_id) == request.project_id,
            col(IdempotencyKey.key) == request.key,
        )
        .values(response=response)
    )


async def release(db: Writer, project_id: ProjectId, run_id: UUID) -> None:
    """Frees the key of a run that could not be started."""
    await db.execute(
        delete(IdempotencyKey).where(
            col(IdempotencyKey.project_id) == project_id, col(IdempotencyKey.run_id) == run_id
        )
    )
