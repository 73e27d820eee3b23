"""Large traces are decoded beside the event loop."""

import threading
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from core import json_codec
from core.db.database import Database
from core.db.deferred_json import MAX_SIZE_ON_LOOP
from core.ids import ProjectId
from core.queries import trace_loading, trace_reads
from core.queries.trace_reads import StoredTrace
from core.trace_input import TraceBody
from core.trace_model import Trace
from tests import factories
from tests.factories import span_body, trace_body

TEXT = "x" * 70_000
DOCUMENTS = [1.5, 0.1234567890123456, "1", None, True, [12345678901234567890123], {"é": [TEXT]}]

Read = Callable[[Database, ProjectId, UUID], Awaitable[StoredTrace | Trace]]


async def get(database: Database, project_id: ProjectId, trace_id: UUID) -> StoredTrace:
    async with database.read() as db:
        return await trace_reads.get(db, project_id, trace_id)


async def load(database: Database, project_id: ProjectId, trace_id: UUID) -> Trace:
    async with database.read() as db:
        return (await trace_loading.load(db, project_id, [trace_id]))[trace_id]


async def store(database: Database, project_id: ProjectId, *inputs: object) -> UUID:
    spans = [span_body(name=str(n), input=value) for n, value in enumerate(inputs)]
    async with database.write() as db:
        body = TraceBody.model_validate(trace_body(spans=spans))
        return await factories.store(db, project_id, body)


@pytest.mark.parametrize("read", [get, load])
async def test_much_content_of_a_trace_is_decoded_beside_the_event_loop(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    trace_id = await store(database, project_id, [TEXT])
    on_loop: list[bool] = []
    decode = json_codec.loads

    def watched(text: str | bytes) -> object:
        if len(text) > MAX_SIZE_ON_LOOP:
            on_loop.append(threading.current_thread() is threading.main_thread())
        return decode(text)

    monkeypatch.setattr(json_codec, "loads", watched)
    found = await read(database, project_id, trace_id)
    assert found.spans[0].input == [TEXT]
    assert on_loop == [False]


@pytest.mark.parametrize("read", [get, load])
@pytest.mark.parametrize("count", [len(DOCUMENTS) - 1, len(DOCUMENTS)])
async def test_each_kind_of_document_is_read_as_it_was_sent(
    database: Database, project_id: ProjectId, read: Read, count: int
) -> None:
    trace_id = await store(database, project_id, *DOCUMENTS[:count])
    found = await read(database, project_id, trace_id)
    read_back = {span.name: span.input for span in found.spans}
    assert [read_back[str(n)] for n in range(count)] == DOCUMENTS[:count]


async def test_a_trace_is_read_for_judging_with_its_last_change(
    database: Database, project_id: ProjectId
) -> None:
    trace_id = await store(database, project_id)
    stored = await get(database, project_id, trace_id)
    assert (await load(database, project_id, trace_id)).updated_at == stored.row.updated_at
