"""Reads the database directly."""

from collections import Counter
from dataclasses import replace
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from core.db.database import Database
from core.db.tables import EvalRun, EvalRunTarget, JudgementRow, Score, Worker
from core.ids import RunStatus
from core.queries import run_rows
from core.queries.run_rows import NewRun
from core.run_spec import RunSpec


async def judgements(database: Database) -> int:
    async with database.read() as db:
        return (await db.execute(select(func.count()).select_from(JudgementRow))).scalar_one()


async def worker_seen(database: Database, pid: int) -> bool:
    """False also if the database does not exist yet."""
    seen = select(func.count()).where(col(Worker.id).startswith(f"{pid}-"))
    try:
        async with database.read() as db:
            return bool((await db.execute(seen)).scalar_one())
    except (SQLAlchemyError, OSError):
        return False


async def run_row(database: Database, run_id: str) -> EvalRun | None:
    async with database.read() as db:
        return (
            await db.execute(select(EvalRun).where(col(EvalRun.id) == UUID(run_id)))
        ).scalar_one_or_none()


async def run_ids(database: Database) -> set[str]:
    async with database.read() as db:
        return {str(run_id) for run_id in (await db.execute(select(col(EvalRun.id)))).scalars()}


async def open_runs(database: Database) -> int:
    running = select(func.count()).where(
        col(EvalRun.status).in_([RunStatus.PENDING, RunStatus.RUNNING])
    )
    async with database.read() as db:
        return (await db.execute(running)).scalar_one()


async def target_count(database: Database, run_id: str) -> int:
    frozen = select(func.count()).where(col(EvalRunTarget.run_id) == UUID(run_id))
    async with database.read() as db:
        return (await db.execute(frozen)).scalar_one()


async def scores(database: Database, run_id: str) -> Counter[tuple[str, str, str]]:
    """The number of rows per target, metric and status."""
    rows = select(col(Score.target_id), col(Score.name), col(Score.status)).where(
        col(Score.eval_run_id) == UUID(run_id)
    )
    async with database.read() as db:
        return Counter((t, name, status.value) for t, name, status in await db.execute(rows))


async def scores_of_targets(database: Database, targets: list[str]) -> Counter[tuple[str, str]]:
    """Scores of these targets, with or without a run."""
    rows = select(col(Score.target_id), col(Score.name)).where(col(Score.target_id).in_(targets))
    async with database.read() as db:
        return Counter((target, name) for target, name in await db.execute(rows))


async def leave_unstarted(database: Database, run_id: str) -> str:
    """Copies the run as the API leaves it if it dies between its commit and the call of
    Temporal.
    """
    like = await run_row(database, run_id)
    assert like is not None
    new = NewRun(spec=replace(RunSpec.of(like), run_id=uuid4()), filters=like.filters)
    async with database.write() as db:
        await run_rows.create(db, new)
    return str(new.spec.run_id)
