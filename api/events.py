"""A run as server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator
from hashlib import sha256

from api import progress
from api.dependencies import Stack
from api.models.runs import EvalRunBody
from core.ids import ProjectId
from core.tables import EvalRun

_BETWEEN_EVENTS = 0.2
_BETWEEN_SIGNS_OF_LIFE = 15.0


async def of_run(stack: Stack, row: EvalRun, *, last_seen: str | None) -> AsyncIterator[str]:
    """`progress` at each change, then `done`.

    An event's id stands for what it says, so that any process can resume the
    stream of any other.
    """
    spoke = time.monotonic()
    newest: EvalRun | None = row
    body = EvalRunBody.of(row)
    while newest is not None:
        body = await progress.live(stack, newest)
        data = body.model_dump_json()
        id = sha256(data.encode()).hexdigest()[:16]
        if id != last_seen:
            yield _event("progress", data, id)
            last_seen, spoke = id, time.monotonic()
        if body.status.terminal:
            break
        if time.monotonic() - spoke >= _BETWEEN_SIGNS_OF_LIFE:
            # Proxies close connections on which nothing is said.
            yield ": still here\n\n"
            spoke = time.monotonic()
        await asyncio.sleep(_BETWEEN_EVENTS)
        newest = await stack.rows.find(ProjectId(row.project_id), row.id)
    yield _event("done", body.model_dump_json(), "done")


def _event(name: str, data: str, id: str) -> str:
    return f"event: {name}\nid: {id}\ndata: {data}\n\n"
