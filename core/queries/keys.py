"""API keys. The text of a key exists once, in the answer to whoever made it."""

import hmac
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import bindparam, select, update
from sqlmodel import col

from core import clock, dialect
from core.database import Reader, Writer
from core.errors import NotFound
from core.ids import ProjectId, Scope
from core.tables import ApiKey, metadata

_API_KEY = metadata.tables["api_key"]
_PREFIX_LENGTH = 14


@dataclass(frozen=True, slots=True)
class NewKey:
    """`project_id` None: the key may name any project with each request."""

    name: str
    scope: Scope = Scope.WRITE
    project_id: ProjectId | None = None
    expires_at: datetime | None = None


def _hash(key: str) -> str:
    return sha256(key.encode()).hexdigest()


async def create(db: Writer, new: NewKey) -> tuple[ApiKey, str]:
    """The row, and the key itself: it cannot be read again."""
    text = f"assay_{secrets.token_urlsafe(32)}"
    row = _row(new, text)
    db.add(row)
    await db.flush()
    return row, text


async def ensure(db: Writer, new: NewKey, text: str) -> None:
    """Adds a key whose text someone chose, unless there is one of that text: it stays as it is."""
    row = _row(new, text)
    values = {name: getattr(row, name) for name in _API_KEY.columns.keys()}  # noqa: SIM118 - rows
    statement = dialect.insert(db.get_bind().dialect.name, _API_KEY).values(values)
    await db.execute(statement.on_conflict_do_nothing())


def _row(new: NewKey, text: str) -> ApiKey:
    return ApiKey(
        id=uuid4(),
        name=new.name,
        # Of a key that somebody chose, too little to help guessing the rest.
        prefix=text[: min(_PREFIX_LENGTH, len(text) // 3)],
        key_hash=_hash(text),
        scope=new.scope.value,
        project_id=new.project_id,
        created_at=clock.now(),
        expires_at=new.expires_at,
    )


@dataclass(frozen=True, slots=True)
class UsableKey:
    """What a request needs to know of the key it comes with."""

    id: UUID
    project_id: UUID | None
    scope: Scope


# Made once: each request asks it.
_BY_HASH: Final = select(
    *(
        _API_KEY.c[name]
        for name in ("key_hash", "id", "project_id", "scope", "revoked_at", "expires_at")
    )
).where(_API_KEY.c.key_hash.in_(bindparam("hashes", expanding=True)))


async def find_usable(db: Reader, texts: Collection[str]) -> dict[str, UsableKey]:
    """The key of each text, without those that are revoked or expired."""
    hashes = {text: _hash(text) for text in texts}
    found = await db.execute(_BY_HASH, {"hashes": list(hashes.values())})
    now = clock.now()
    rows = [
        row
        for row in found
        if row.revoked_at is None and (row.expires_at is None or row.expires_at > now)
    ]
    # An index may stop at the first byte that differs; this comparison decides, in constant time.
    return {
        text: UsableKey(row.id, row.project_id, Scope(row.scope))
        for text, wanted in hashes.items()
        for row in rows
        if hmac.compare_digest(row.key_hash, wanted)
    }


async def every(db: Reader) -> Sequence[ApiKey]:
    """Oldest first, revoked and expired ones too."""
    found = await db.scalars(select(ApiKey).order_by(col(ApiKey.created_at), col(ApiKey.id)))
    return found.all()


async def revoke(db: Writer, key_id: UUID) -> None:
    """From the commit on the key opens nothing. A repeat changes nothing. Raises NotFound."""
    known = await db.scalar(select(1).where(col(ApiKey.id) == key_id))
    if known is None:
        raise NotFound("API key", key_id)
    await db.execute(
        update(ApiKey)
        .where(col(ApiKey.id) == key_id, col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=clock.now())
    )
