"""A run as server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import TYPE_CHECKING

from api.dependencies import AppState
from api.http.auth import Access
from api.http.key_watch import KeyWatch
from api.runs import progress
from api.schemas.runs import EvalRunBody
from core.ids import ProjectId

if TYPE_CHECKING:
    from core.db.tables import EvalRun

_BETWEEN_EVENTS = 0.2
_BETWEEN_SIGNS_OF_LIFE = 15.0


async def of_run(
    stack: AppState, access: Access, row: "EvalRun", *, last_seen: str | None
) -> AsyncIterator[str]:
    """Yields `progress` at each change, then `done`. Ends without `done` if the key is revoked.

    The id of an event is a hash of its content, so that any process can resume a stream of another
    process. Raises RateLimited if the project has too many open streams.
    """
    with stack.streams.open(ProjectId(row.project_id)):
        async for event in _events(stack, access, row, last_seen):
            yield event


async def _events(
    stack: AppState, access: Access, row: "EvalRun", last_seen: str | None
) -> AsyncIterator[str]:
    watch = KeyWatch(lambda: stack.authenticator.check_again(access))
    spoke = time.monotonic()
    newest: EvalRun | None = row
    body = EvalRunBody.of(row)
    while newest is not None:
        body = await progress.live(stack, newest)
        data = body.model_dump_json()
        event_id = sha256(data.encode()).hexdigest()[:16]
        if event_id != last_seen:
            yield _event("progress", data, event_id)
            last_seen, spoke = event_id, time.monotonic()
        if body.status.terminal:
            break
        if time.monotonic() - spoke >= _BETWEEN_SIGNS_OF_LIFE:
            # Proxies close idle connections.
            yield ": still here\n\n"
            spoke = time.monotonic()
        await asyncio.sleep(_BETWEEN_EVENTS)
        if not await watch.may_continue():
            return
        newest = await stack.rows.find(ProjectId(row.project_id), row.id)
    yield _event("done", body.model_dump_json(), "done")


def _event(name: str, data: str, event_id: str) -> str:
    return f"event: {name}\nid: {event_id}\ndata: {data}\n\n"
