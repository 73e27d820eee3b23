"""Finds rows by id, by the beginning of an id, or by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Text, func, literal, select, type_coerce
from sqlmodel import col

from core.db import sql_functions
from core.db.database import Reader
from core.db.tables import EvalMonitor, EvalRun, Score, Trace
from core.ids import ProjectId

MAX_FOUND: Final = 8
"""Maximum number of results per kind."""

_HEX: Final = frozenset("0123456789abcdef")
_MIN_PREFIX: Final = 4
_MAX_PREFIX: Final = 32
MAX_NEWEST: Final = 2_000
"""Number of newest traces that are searched first."""

MAX_STEPS: Final = 2_000
"""Number of names that are reached one by one, skipping all traces with the same name.

A project with more names has few traces per name, so a scan of the index is faster for the other
names.
"""


_TABLES: Final[Mapping[str, Any]] = {
    "run": EvalRun,
    "monitor": EvalMonitor,
    "trace": Trace,
    "score": Score,
}


@dataclass(frozen=True, slots=True)
class Found:
    """A search result; `kind` is run, trace, session, score or monitor."""

    kind: str
    id: str
    name: str


async def by_text(db: Reader, project_id: ProjectId, text: str) -> list[Found]:
    """Finds ids and session ids that begin with the text, and names that contain the text."""
    results = await by_id(db, project_id, text)
    for kind, table in (("run", EvalRun), ("monitor", EvalMonitor), ("trace", Trace)):
        results += await _by_name(db, project_id, kind, table, text)
    results += await _by_any_name(db, project_id, text)
    results += await sessions(db, project_id, text)
    return list(dict.fromkeys(results))


def _bounds(text: str) -> tuple[UUID, UUID] | None:
    """The smallest and the largest id that begin with the text."""
    digits = text.replace("-", "").lower()
    if not _MIN_PREFIX <= len(digits) <= _MAX_PREFIX or not set(digits) <= _HEX:
        return None
    return UUID(digits.ljust(_MAX_PREFIX, "0")), UUID(digits.ljust(_MAX_PREFIX, "f"))


async def by_id(db: Reader, project_id: ProjectId, text: str) -> list[Found]:
    """Runs, monitors, traces and scores whose ids begin with the text."""
    results: list[Found] = []
    bounds = _bounds(text)
    if bounds is None:
        return results
    for kind, table in _TABLES.items():
        # The key of a trace begins with its project; the keys of other rows are their ids.
        project = table.project_id
        mine = project if table is Trace else sql_functions.unindexed(project)
        rows = await db.execute(
            select(table.id, table.name)
            .where(mine == project_id, table.id.between(*bounds))
            .limit(MAX_FOUND)
        )
        results += [Found(kind, str(row.id), row.name or "") for row in rows]
    return results


async def _by_name(
    db: Reader, project_id: ProjectId, kind: str, table: Any, text: str
) -> list[Found]:
    """Matches by name, newest first.

    Reads only the newest traces; `_by_any_name` reads all names.
    """
    newest: Any = table.started_at if table is Trace else table.created_at
    recent = select(table.id, table.name).where(table.project_id == project_id)
    recent = recent.order_by(newest.desc())
    if table is Trace:
        recent = recent.limit(MAX_NEWEST)
    found = recent.subquery()
    matches = sql_functions.contains(type_coerce(found.c.name, Text), text)
    rows = await db.execute(select(found.c.id, found.c.name).where(matches).limit(MAX_FOUND))
    return [Found(kind, str(row.id), row.name or "") for row in rows]


async def _by_any_name(db: Reader, project_id: ProjectId, text: str) -> list[Found]:
    """The newest trace of each name that contains the text, among the names of all traces."""
    first = await _first_names(db, project_id)
    names = [name for name in first if text.lower() in name.lower()][:MAX_FOUND]
    if len(names) < MAX_FOUND and len(first) == MAX_STEPS:
        names += await _later_names(
            db, project_id, text, after=first[-1], most=MAX_FOUND - len(names)
        )
    results = []
    for name in names:
        newest = await db.scalar(
            select(col(Trace.id))
            .where(col(Trace.project_id) == project_id, col(Trace.name) == name)
            .order_by(col(Trace.started_at).desc())
            .limit(1)
        )
        results += [] if newest is None else [Found("trace", str(newest), name)]
    return results


async def _first_names(db: Reader, project_id: ProjectId) -> list[str]:
    """The first different names in the order of the index, each found from the previous name."""
    mine = col(Trace.project_id) == project_id
    first = select(func.min(col(Trace.name)).label("name"), literal(1).label("place")).where(mine)
    names = first.cte("names", recursive=True)
    following = (
        select(func.min(col(Trace.name)))
        .where(mine, col(Trace.name) > names.c.name)
        .scalar_subquery()
    )
    names = names.union_all(
        select(following, names.c.place + 1).where(
            names.c.name.is_not(None), names.c.place < MAX_STEPS
        )
    )
    found = await db.scalars(
        select(names.c.name).where(names.c.name.is_not(None)).order_by(names.c.place)
    )
    return list(found)


async def _later_names(
    db: Reader, project_id: ProjectId, text: str, *, after: str, most: int
) -> list[str]:
    """Different names after `after` that contain the text, from a scan of the index."""
    name = type_coerce(col(Trace.name), Text)
    rows = await db.scalars(
        select(col(Trace.name))
        .where(
            col(Trace.project_id) == project_id,
            col(Trace.name) > after,
            sql_functions.contains(name, text),
        )
        .distinct()
        .order_by(col(Trace.name))
        .limit(most)
    )
    return list(rows)


async def sessions(db: Reader, project_id: ProjectId, text: str) -> list[Found]:
    """Sessions whose id begins with the text, found in an index over session ids."""
    rows = await db.scalars(
        select(col(Trace.session_id))
        .where(
            col(Trace.project_id) == project_id,
            col(Trace.session_id) >= text,
            col(Trace.session_id) < text + "\U0010ffff",
        )
        .distinct()
        .limit(MAX_FOUND)
    )
    return [
        Found("session", session_id, session_id) for session_id in rows if session_id is not None
    ]
