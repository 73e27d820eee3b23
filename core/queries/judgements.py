"""Completed judge stages, so that nothing is paid for twice."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select, tuple_

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
    table = metadata.tables["judgement"]
    columns = [table.c[name] for name in _COLUMNS]
    keys = tuple_(table.c.project_id, table.c.key)
    rows = await db.execute(select(*columns).where(keys.in_(asked)))
    found = [KeptJudgement(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]
    return {(kept.project_id, kept.key): kept for kept in found}


async def record(db: Writer, judgements: Sequence[KeptJudgement]) -> None:
    """The last answer stays where a question was asked again."""
    moment = clock.now()
    statement = dialect.insert(db.get_bind().dialect.name, metadata.tables["judgement"])
    await db.execute(
        statement.on_conflict_do_update(
            index_elements=["project_id", "key"],
            set_={name: statement.excluded[name] for name in (*_COLUMNS[2:], "created_at")},
        ),
        [{**asdict(made), "created_at": moment} for made in judgements],
    )
