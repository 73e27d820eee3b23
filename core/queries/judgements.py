"""Completed judge stages, so that nothing is paid for twice."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from sqlalchemy import bindparam, select, tuple_

from core import clock, dialect
from core.database import Reader, Writer
from core.ids import ProjectId
from core.tables import metadata

_COLUMNS = (
    "project_id",
    "key",
    "model",
    "answer",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
)

_JUDGEMENT = metadata.tables["judgement"]

# Made once: a worker asks it with every stage.
_FIND = select(*(_JUDGEMENT.c[name] for name in _COLUMNS)).where(
    tuple_(_JUDGEMENT.c.project_id, _JUDGEMENT.c.key).in_(bindparam("asked", expanding=True))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptJudgement:
    project_id: ProjectId
    key: str
    model: str
    answer: dict[str, Any]
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


async def find(
    db: Reader, asked: Sequence[tuple[ProjectId, str]]
) -> dict[tuple[ProjectId, str], KeptJudgement]:
    """Those that are known, of several projects at once; each answer stays in its project."""
    rows = await db.execute(_FIND, {"asked": asked})
    found = [KeptJudgement(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]
    return {(kept.project_id, kept.key): kept for kept in found}


async def record(db: Writer, judgements: Sequence[KeptJudgement]) -> None:
    """The last answer stays where a question was asked again."""
    moment = clock.now()
    await db.execute(
        _put(db.get_bind().dialect.name),
        [{**asdict(made), "created_at": moment} for made in judgements],
    )


@cache
def _put(dialect_name: str) -> dialect.Insert:
    statement = dialect.insert(dialect_name, _JUDGEMENT)
    return statement.on_conflict_do_update(
        index_elements=["project_id", "key"],
        set_={name: statement.excluded[name] for name in (*_COLUMNS[2:], "created_at")},
    )
