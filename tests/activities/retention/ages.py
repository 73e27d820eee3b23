"""Rows of a chosen age, and turns over them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Table, select, update
from temporalio.testing import ActivityEnvironment

from activities.retention.sweeping import Retention
from core.db.database import Database
from core.db.tables import EvalRun, metadata
from core.ids import ProjectId, RunStatus
from core.queries import run_pairs, run_rows, run_sampling
from core.retention import RetentionDays, SweepTurn, SweptTurn
from tests.factories import new_run, new_score, store_traces

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
CUTOFF = NOW - timedelta(days=30)
OLD = CUTOFF - timedelta(days=1)
YOUNG = NOW - timedelta(days=1)


def _key(table: Table) -> Column[Any]:
    return table.c["key" if table.name == "judgement" else "id"]


async def set_columns(
    database: Database, table: str, key: Sequence[UUID] | Sequence[str], **values: Any
) -> None:
    rows = metadata.tables[table]
    async with database.write() as db:
        await db.execute(update(rows).where(_key(rows).in_(list(key))).values(**values))


async def traces_from(
    database: Database, project_id: ProjectId, count: int, arrived: datetime, **fields: Any
) -> list[UUID]:
    """Traces that arrived at this moment."""
    ids = await store_traces(database, project_id, count, **fields)
    await set_columns(database, "trace", ids, ingested_at=arrived)
    return ids


async def run_over(
    database: Database,
    project_id: ProjectId,
    targets: Sequence[str],
    *,
    ended: datetime | None,
    **fields: Any,
) -> EvalRun:
    """A run with a score of each target. It is open unless it has `ended`."""
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id, **fields))
        run.admitted_at = run.created_at
        await run_sampling.freeze(db, run, list(targets))
        run.status = RunStatus.RUNNING
        await db.flush()
        await run_pairs.record(db, [new_score(run, target) for target in targets])
    if ended is not None:
        ending = {"status": RunStatus.COMPLETED, "completed_at": ended, "created_at": ended}
        await set_columns(database, "eval_run", [run.id], **ending)
    return run


async def ids_in(database: Database, table: str, project_id: ProjectId) -> set[Any]:
    rows = metadata.tables[table]
    async with database.read() as db:
        return set(await db.scalars(select(_key(rows)).where(rows.c.project_id == project_id)))


async def take_turn(
    database: Database, project_id: ProjectId, days: RetentionDays, **turn: Any
) -> SweptTurn:
    retention = Retention(database, days)
    environment = ActivityEnvironment()
    return await environment.run(retention.delete_expired, SweepTurn(project_id, **turn))
