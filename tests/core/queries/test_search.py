"""A search by name finds every name."""

import pytest

from core.db.database import Database
from core.ids import ProjectId
from core.queries import search
from core.trace_input import TraceBody
from tests.factories import store, trace_body

NAMES = [*(f"Agent {n}" for n in range(20)), *(f"Zürich {n}" for n in range(4))]


async def test_a_name_is_found_however_many_come_before_it(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Reaches three names one by one, and one by the age of its trace.
    monkeypatch.setattr(search, "MAX_STEPS", 3)
    monkeypatch.setattr(search, "MAX_NEWEST", 1)
    async with database.write() as db:
        for name in NAMES:
            await store(db, project_id, TraceBody.model_validate(trace_body(name=name)))
    async with database.read() as db:
        for text, names in (
            ("AGENT 17", ["Agent 17"]),
            ("ÜRICH", NAMES[20:]),
            ("agent 0", ["Agent 0"]),
            ("100%", []),
        ):
            found = await search.by_text(db, project_id, text)
            assert sorted(one.name for one in found) == names
        most = await search.by_text(db, project_id, "agent")
        # The newest trace may have a name after the first ones.
        assert len(most) - search.MAX_FOUND in (0, 1)
