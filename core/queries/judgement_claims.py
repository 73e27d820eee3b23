"""Claims on questions, so that only one worker asks each question at a time."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import bindparam, delete, select, tuple_

from core import clock
from core.db import dialect
from core.db.database import Writer
from core.db.tables import metadata
from core.ids import ProjectId
from core.judgement import CLAIM_SECONDS
from core.queries.judgements import JudgementKey

_CLAIM: Final = metadata.tables["judgement_claim"]
_KEY: Final = tuple_(_CLAIM.c.project_id, _CLAIM.c.key)

_EXPIRED: Final = delete(_CLAIM).where(_CLAIM.c.expires_at < bindparam("now"))
_RENEWED: Final = (
    _CLAIM.update()
    .where(_CLAIM.c.owner == bindparam("claimer"), _KEY.in_(bindparam("asked", expanding=True)))
    .values(expires_at=bindparam("until"))
)
_OWNED: Final = select(_CLAIM.c.project_id, _CLAIM.c.key).where(
    _CLAIM.c.owner == bindparam("claimer"), _KEY.in_(bindparam("asked", expanding=True))
)
_RELEASED: Final = delete(_CLAIM).where(
    _CLAIM.c.owner == bindparam("claimer"), _KEY.in_(bindparam("asked", expanding=True))
)


async def claim(db: Writer, owner: str, keys: Sequence[JudgementKey]) -> set[JudgementKey]:
    """Claims the keys for `CLAIM_SECONDS`, and returns the keys that the owner now holds.

    Idempotent.
    """
    now = clock.now()
    until = now + timedelta(seconds=CLAIM_SECONDS)
    await db.execute(_EXPIRED, {"now": now})
    await db.execute(
        dialect.insert_missing(db, _CLAIM, key=("project_id", "key")),
        [
            {"project_id": project_id, "key": key, "owner": owner, "expires_at": until}
            # Sorted, so that no two workers wait for each other.
            for project_id, key in sorted(set(keys))
        ],
    )
    asked = {"claimer": owner, "asked": list(keys)}
    await db.execute(_RENEWED, asked | {"until": until})
    rows = await db.execute(_OWNED, asked)
    return {(ProjectId(project_id), key) for project_id, key in rows}


async def release(db: Writer, owner: str, keys: Sequence[JudgementKey]) -> None:
    await db.execute(_RELEASED, {"claimer": owner, "asked": list(keys)})
