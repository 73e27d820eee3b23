"""Counts unfinished runs by state, from the partial indexes of open and waiting runs."""

from typing import Final

from sqlalchemy import func, literal, select, union_all

from core.db.database import Reader
from core.db.tables import EvalRun
from core.queries.run_rows import GOING_ON, PAUSED, UNDER_WAY, WAITING

_STATES: Final = {
    "waiting": WAITING,
    "open": GOING_ON,
    "paused": (*UNDER_WAY, *PAUSED),
}


async def count_unfinished(db: Reader) -> dict[str, int]:
    """Numbers of runs of all projects.

    `waiting` for admission, `open`, and `paused` at a budget.
    """
    counts = [
        select(literal(state), func.count()).select_from(EvalRun).where(*where)
        for state, where in _STATES.items()
    ]
    rows = await db.execute(union_all(*counts))
    return {row[0]: row[1] for row in rows}
