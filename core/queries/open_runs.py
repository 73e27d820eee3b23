"""Open runs, which a worker checks before it asks a judge."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, func, select
from sqlmodel import col

from core.db.database import Reader
from core.db.tables import EvalRun, metadata
from core.ids import ProjectId
from core.queries.run_rows import GOING_ON, OPEN

_RUN: Final = metadata.tables["eval_run"]
_PROJECT: Final = metadata.tables["project"]

# Built once, because a worker executes it once per second per open run.
_OPEN_RUN: Final = (
    select(_PROJECT.c.monthly_budget_usd)
    .join(_RUN, _RUN.c.project_id == _PROJECT.c.id)
    .where(_RUN.c.project_id == bindparam("project_id"), _RUN.c.id == bindparam("run_id"), *OPEN)
)


@dataclass(frozen=True, slots=True)
class OpenRun:
    """`has_monthly_budget`: whether the project has a monthly budget, which then also pays for the
    calls.
    """

    has_monthly_budget: bool


async def find_open(db: Reader, project_id: ProjectId, run_id: UUID) -> OpenRun | None:
    """The run, if it still takes scores: it exists and is neither finished nor cancelled."""
    found = (await db.execute(_OPEN_RUN, {"project_id": project_id, "run_id": run_id})).first()
    return None if found is None else OpenRun(has_monthly_budget=found[0] is not None)


async def count_open(db: Reader, project_id: ProjectId) -> int:
    """The number of runs of the project that have begun, have not ended, and are not paused."""
    rows = await db.execute(
        select(func.count())
        .select_from(EvalRun)
        .where(col(EvalRun.project_id) == project_id, *GOING_ON)
    )
    return rows.scalar_one()
