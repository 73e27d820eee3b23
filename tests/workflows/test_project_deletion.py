"""Deletion of a project with all content, while another project stays."""

from uuid import uuid4

import pytest
from sqlalchemy import func, select

from core.db.database import Database
from core.db.tables import metadata
from core.ids import ProjectId
from core.queries import project_content, projects, run_pairs, run_rows, run_sampling
from tests.conftest import make_project
from tests.factories import make_monitor, new_run, new_score, store_traces
from tests.workflows.conftest import Stack
from workflows.project_client import ProjectDeletions
from workflows.project_deletion import ProjectDeletionWorkflow


async def rows(database: Database, project_id: ProjectId) -> dict[str, int]:
    """The number of the project's rows by table."""
    found: dict[str, int] = {}
    async with database.read() as db:
        for table in metadata.sorted_tables:
            if "project_id" in table.columns:
                query = select(func.count()).where(table.c.project_id == project_id)
                found[table.name] = await db.scalar(query) or 0
    return {name: count for name, count in found.items() if count}


async def fill(database: Database, project_id: ProjectId) -> None:
    ids = await store_traces(database, project_id, 5, session_id="s", tags=["a", "b"])
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id))
        await run_sampling.freeze(db, run, [str(trace_id) for trace_id in ids])
        await run_pairs.record(db, [new_score(run, str(ids[0]))])
    await make_monitor(database, project_id)


async def test_everything_in_the_project_goes_and_nothing_else(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_content.delete_some, "__kwdefaults__", {"limit": 2})
    database, doomed = stack.database, stack.project_id
    kept = await make_project(database, "kept")
    for project_id in (doomed, kept):
        await fill(database, project_id)
    before = await rows(database, kept)
    deletions = ProjectDeletions(stack.client, task_queue=stack.task_queue)
    await deletions.start(doomed)
    await deletions.start(doomed)
    handle = stack.client.get_workflow_handle(f"project-deletion-{doomed}", result_type=int)
    async with stack.worker():
        deleted = await handle.result()
        assert await handle.query(ProjectDeletionWorkflow.progress) == deleted
    assert deleted >= sum(before.values()) - 15, "rows that foreign keys take are not counted"
    assert await rows(database, doomed) == {}
    assert await rows(database, kept) == before
    async with database.read() as db:
        assert await projects.name_of(db, doomed) is None
        assert await projects.name_of(db, kept) == "kept"


async def test_a_project_that_is_gone_needs_no_deletion(stack: Stack) -> None:
    deletions = ProjectDeletions(stack.client, task_queue=stack.task_queue)
    unknown = uuid4()
    await deletions.start(unknown)
    async with stack.worker():
        handle = stack.client.get_workflow_handle(f"project-deletion-{unknown}", result_type=int)
        assert await handle.result() == 0
