"""Rows from before the columns of figures are counted by the migration."""

from typing import Any

import pytest
from sqlalchemy import select

from core import migrations
from core.db.database import Database
from core.db.tables import metadata
from core.ids import ProjectId
from core.queries import trace_writes
from core.trace_input import TraceBody
from tests.factories import span_body, trace_body

SPAN, TRACE = metadata.tables["span"], metadata.tables["trace"]
SUMS = ("total_tokens", "prompt_tokens", "completion_tokens", "total_cost")
USAGES: list[dict[str, Any]] = [
    {"token_usage": {"prompt_tokens": 3, "completion_tokens": 4}, "cost": 0.5},
    {"token_usage": {"input": 5, "output_tokens": 6, "total": 100}, "cost": {"in": 1, "out": 2}},
    {"token_usage": {"total_tokens": "many", "prompt_tokens": -1}, "cost": {"total": -1}},
    {"token_usage": {"total_tokens": 10**30}},
    {"cost": {"total_cost": 0.25, "in": 9}},
    {},
]


async def figures(database: Database) -> list[tuple[object, ...]]:
    async with database.read() as db:
        spans = select(SPAN.c.id, *(SPAN.c[name] for name in SUMS)).order_by(SPAN.c.id)
        sums = select(TRACE.c.id, *(TRACE.c[name] for name in SUMS)).order_by(TRACE.c.id)
        found = [tuple(row) for row in await db.execute(spans)]
        return found + [tuple(row) for row in await db.execute(sums)]


@pytest.mark.parametrize("traces_stored", [1, pytest.param(401, marks=pytest.mark.slow)])
async def test_figures_of_what_is_stored_are_those_of_what_comes(
    database: Database, project_id: ProjectId, traces_stored: int
) -> None:
    bodies = [
        trace_body(spans=[span_body(**usage) for usage in USAGES]) for _ in range(traces_stored)
    ]
    async with database.write() as db:
        await trace_writes.store_all(
            db, [(project_id, TraceBody.model_validate(body)) for body in bodies]
        )
    expected = await figures(database)
    assert any(row[1] for row in expected)
    await migrations.downgrade(database, "0001")
    await migrations.upgrade(database)
    assert await figures(database) == expected
