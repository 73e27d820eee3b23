"""API keys. The text of a key appears only in the response to its creation."""

import hmac
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import bindparam, select, update
from sqlmodel import col

from core import clock
from core.db import dialect, paging
from core.db.database import Reader, Writer
from core.db.tables import ApiKey, metadata
from core.errors import Conflict, NotFound
from core.ids import RESERVED_KEY_NAMES, ProjectId, Scope

_API_KEY = metadata.tables["api_key"]
_PREFIX_LENGTH = 14


@dataclass(frozen=True, slots=True)
class NewKey:
    """`project_id` is the home project. A key without one may name any project."""

    name: str
    scope: Scope = Scope.WRITE
    project_id: ProjectId | None = None
    expires_at: datetime | None = None
    any_project: bool = False


def _hash(key: str) -> str:
    return sha256(key.encode()).hexdigest()


async def create(db: Writer, new: NewKey) -> tuple[ApiKey, str]:
    """Returns the row, and the text of the key, which cannot be read again."""
    text = f"assay_{secrets.token_urlsafe(32)}"
    row = _row(new, text)
    db.add(row)
    await db.flush()
    return row, text


async def ensure(db: Writer, new: NewKey, text: str) -> None:
    """Adds a key with a chosen text, unless a key with this text exists.

    An existing key stays unchanged, except that it gains `any_project`.
    """
    row = _row(new, text)
    values = {name: getattr(row, name) for name in _API_KEY.columns.keys()}  # noqa: SIM118 - rows
    await db.execute(dialect.insert_missing(db, _API_KEY), values)
    if new.any_project:
        # A key of an earlier version was bound to its project.
        await db.execute(
            update(ApiKey).where(col(ApiKey.key_hash) == row.key_hash).values(any_project=True)
        )


def _row(new: NewKey, text: str) -> ApiKey:
    return ApiKey(
        id=uuid4(),
        name=new.name,
        # The prefix of a chosen key is so short that it does not help to guess the other
        # characters.
        prefix=text[: min(_PREFIX_LENGTH, len(text) // 3)],
        key_hash=_hash(text),
        scope=new.scope.value,
        project_id=new.project_id,
        any_project=new.any_project or new.project_id is None,
        created_at=clock.now(),
        expires_at=new.expires_at,
    )


@dataclass(frozen=True, slots=True)
class UsableKey:
    """The fields of a key that a request needs."""

    id: UUID
    name: str
    project_id: ProjectId | None
    any_project: bool
    scope: Scope


_USABLE: Final = (
    *("key_hash", "id", "name", "project_id", "any_project", "scope"),
    *("revoked_at", "expires_at"),
)

# Built once: every request executes it.
_BY_HASH: Final = select(*(_API_KEY.c[name] for name in _USABLE)).where(
    _API_KEY.c.key_hash.in_(bindparam("hashes", expanding=True))
)


async def find_usable(db: Reader, texts: Collection[str]) -> dict[str, UsableKey]:
    """The usable key of each text; omits revoked and expired keys."""
    hashes = {text: _hash(text) for text in texts}
    result = await db.execute(_BY_HASH, {"hashes": list(hashes.values())})
    now = clock.now()
    rows = [
        row
        for row in result
        if row.revoked_at is None and (row.expires_at is None or row.expires_at > now)
    ]
    # An index comparison may stop at the first different byte; this comparison takes constant time.
    return {
        text: UsableKey(row.id, row.name, row.project_id, row.any_project, Scope(row.scope))
        for text, wanted in hashes.items()
        for row in rows
        if hmac.compare_digest(row.key_hash, wanted)
    }


async def revoke_others(db: Writer, like: NewKey, text: str) -> None:
    """Revokes the other keys of this name, scope and project, which the key `text` has replaced."""
    await db.execute(
        update(ApiKey)
        .where(
            col(ApiKey.name) == like.name,
            col(ApiKey.scope) == like.scope.value,
            col(ApiKey.project_id) == like.project_id,
            col(ApiKey.key_hash) != _hash(text),
            col(ApiKey.revoked_at).is_(None),
        )
        .values(revoked_at=clock.now())
    )


async def every(db: Reader) -> Sequence[ApiKey]:
    """All keys, oldest first, including revoked and expired ones."""
    rows = await db.scalars(select(ApiKey).order_by(col(ApiKey.created_at), col(ApiKey.id)))
    return rows.all()


async def page(
    db: Reader, page: paging.Page, *, of_project: ProjectId | None
) -> tuple[list[ApiKey], int]:
    """Newest first, and the total. `of_project`: only keys with this home project."""
    found = select(ApiKey).order_by(col(ApiKey.created_at).desc(), col(ApiKey.id).desc())
    if of_project is not None:
        found = found.where(col(ApiKey.project_id) == of_project)
    return await paging.fetch(db, found, page)


async def lock(db: Writer, key_id: UUID, *, of_project: ProjectId | None = None) -> ApiKey:
    """Locks the row. Raises NotFound, also for a key with another home than `of_project`."""
    row = await db.scalar(select(ApiKey).where(col(ApiKey.id) == key_id).with_for_update())
    if row is None or of_project not in (None, row.project_id):
        raise NotFound("API key", key_id)
    return row


async def rotate(db: Writer, row: ApiKey, *, overlap_seconds: float) -> tuple[ApiKey, str]:
    """Creates a key with the rights and the lifetime of the old key.

    The old key continues to work for `overlap_seconds`. Raises Conflict for a key that no longer
    works or that follows the settings.
    """
    if row.name in RESERVED_KEY_NAMES:
        raise Conflict("This API key follows the settings; change it there.")
    now = clock.now()
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        raise Conflict("This API key is revoked or expired; create a new one.")
    lifetime = None if row.expires_at is None else row.expires_at - row.created_at
    ends = now + timedelta(seconds=overlap_seconds)
    row.expires_at = ends if row.expires_at is None else min(ends, row.expires_at)
    return await create(
        db,
        NewKey(
            name=row.name,
            scope=Scope(row.scope),
            project_id=None if row.project_id is None else ProjectId(row.project_id),
            expires_at=None if lifetime is None else now + lifetime,
            any_project=row.any_project,
        ),
    )


async def revoke(db: Writer, key_id: UUID) -> None:
    """The key stops working at the commit. A repetition has no effect. Raises NotFound."""
    known = await db.scalar(select(1).where(col(ApiKey.id) == key_id))
    if known is None:
        raise NotFound("API key", key_id)
    await db.execute(
        update(ApiKey)
        .where(col(ApiKey.id) == key_id, col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=clock.now())
    )
