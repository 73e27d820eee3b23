"""Stops the writing of scores of runs that are being cancelled, deleted or ended.

Each write of scores locks the row of its run in share mode. On PostgreSQL new share locks pass a
transaction that waits to change the row, so many writers could delay it for long. A stop needs no
lock: later writes see the stop, and the row is free once the open writes have committed.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import delete, exists, literal, select

from core import clock
from core.db import dialect
from core.db.database import Writer
from core.db.tables import metadata
from core.ids import ProjectId, RunStatus

_RUN: Final = metadata.tables["eval_run"]
_STOP: Final = metadata.tables["eval_run_stop"]

NOT_STOPPED: Final = ~exists().where(_STOP.c.run_id == _RUN.c.id)
"""Predicate on runs whose scores may be written."""


async def stop(db: Writer, project_id: ProjectId, run_id: UUID | None = None) -> None:
    """After the commit, no write of scores of the run begins.

    Without `run_id`: all runs of the project. No effect on finished and unknown runs.
    """
    chosen = [
        _RUN.c.project_id == project_id,
        _RUN.c.status.in_([RunStatus.PENDING, RunStatus.RUNNING]),
    ]
    if run_id is not None:
        chosen.append(_RUN.c.id == run_id)
    runs = select(_RUN.c.id, _RUN.c.project_id, literal(clock.now(), _STOP.c.stopped_at.type))
    columns = ["run_id", "project_id", "stopped_at"]
    await db.execute(dialect.insert_missing(db, _STOP).from_select(columns, runs.where(*chosen)))


async def forget(db: Writer, run_id: UUID) -> None:
    """Removes the stop of a finished or deleted run, which no longer needs it."""
    await db.execute(delete(_STOP).where(_STOP.c.run_id == run_id))
