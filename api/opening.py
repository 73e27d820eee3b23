"""Opening a run: one row and one workflow, or neither."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from api import progress
from api.dependencies import Stack
from api.models.runs import EvalRunBody
from core import jsontext
from core.database import Writer
from core.errors import Unavailable
from core.ids import ProjectId, RunId
from core.queries import idempotency, runs
from core.queries.idempotency import Request
from core.tables import EvalRun
from workflows.control import Existence, RunToStart

Answer = EvalRunBody | dict[str, Any]
Create = Callable[[Writer], Awaitable[EvalRun]]


class _Taken(Exception):
    """Another request with the same idempotency key was first."""


def request_of(
    project_id: ProjectId, key: str | None, *, path: str, body: JsonValue
) -> Request | None:
    """What an Idempotency-Key stands for: this body at this path."""
    if key is None:
        return None
    digest = sha256(path.encode() + b"\0" + jsontext.canonical(body)).hexdigest()
    return Request(project_id, key, digest)


async def replay(stack: Stack, request: Request | None) -> Answer | None:
    """What the same request was answered before. Raises Conflict for another body."""
    if request is None:
        return None
    async with stack.database.read() as db:
        earlier = await idempotency.find(db, request)
        if earlier is None:
            return None
        if earlier.response is not None:
            return earlier.response
        row = await runs.find(db, request.project_id, earlier.run_id)
    return None if row is None else await progress.live(stack, row)


async def open_run(stack: Stack, create: Create, request: Request | None) -> Answer:
    """Raises what `create` raises, and Unavailable: then there is no trace of the run."""
    await stack.runs.check_reachable()
    try:
        async with stack.database.write() as db:
            row = await create(db)
            if request and not await idempotency.claim(db, request, RunId(row.id)):
                raise _Taken
    except _Taken:
        answer = await replay(stack, request)
        if answer is None:
            raise Unavailable("Temporal", "The first request with this key failed.") from None
        return answer
    body = await _start(stack, row)
    stack.counters.runs_started += 1
    if request:
        async with stack.database.write() as db:
            await idempotency.keep_response(db, request, body.model_dump(mode="json"))
    return body


async def _start(stack: Stack, row: EvalRun) -> EvalRunBody:
    wait = stack.settings.resolve_wait_seconds
    try:
        started = await stack.runs.start(RunToStart.of(row), wait_seconds=wait)
    except Unavailable:
        if await _exists(stack, row.id):
            return await progress.recorded(stack, row)
        project_id = ProjectId(row.project_id)
        async with stack.database.write() as db:
            await runs.remove(db, project_id, row.id, delete_scores=True)
            await idempotency.release(db, project_id, row.id)
        raise
    if started is None or started.status.terminal:
        return await progress.recorded(stack, row)
    return EvalRunBody.of(row, started)


async def _exists(stack: Stack, run_id: UUID) -> bool:
    """Whether the workflow may exist: a call that was cut off may have gone through."""
    try:
        return await stack.runs.existence(run_id) is not Existence.ABSENT
    except Unavailable:
        return True
