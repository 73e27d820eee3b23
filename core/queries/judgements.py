"""Stored answers of judges, so that nobody pays for an answer twice."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Final

from sqlalchemy import bindparam, select, tuple_

from core import clock
from core.db import dialect
from core.db.database import Reader, Writer
from core.db.tables import metadata
from core.ids import ProjectId
from core.judgement import StoredJudgement

JudgementKey = tuple[ProjectId, str]

_JUDGEMENT: Final = metadata.tables["judgement"]
_KEY: Final = ("project_id", "key")
_FIELDS: Final = tuple(field.name for field in fields(StoredJudgement))

# Built once, because a worker executes it for every question.
_FIND: Final = select(*(_JUDGEMENT.c[name] for name in (*_KEY, *_FIELDS))).where(
    tuple_(_JUDGEMENT.c.project_id, _JUDGEMENT.c.key).in_(bindparam("asked", expanding=True))
)


async def find(db: Reader, keys: Sequence[JudgementKey]) -> dict[JudgementKey, StoredJudgement]:
    """The stored judgements among the keys. Keys of several projects may be mixed."""
    rows = await db.execute(_FIND, {"asked": keys})
    return {
        (ProjectId(project_id), key): StoredJudgement(**dict(zip(_FIELDS, values, strict=True)))
        for project_id, key, *values in rows
    }


async def record(db: Writer, judgements: Mapping[JudgementKey, StoredJudgement]) -> None:
    """Stores the judgements. A newer answer to a question replaces the older one."""
    moment = clock.now()
    statement = dialect.upsert(db, _JUDGEMENT, key=_KEY, update=(*_FIELDS, "created_at"))
    await db.execute(
        statement,
        [
            {name: getattr(made, name) for name in _FIELDS}
            | {"project_id": project_id, "key": key, "created_at": moment}
            for (project_id, key), made in judgements.items()
        ],
    )
