"""Signed-in browsers of the dashboard, and links that sign a browser in once."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlmodel import col

from core import clock
from core.db.database import Reader, Writer
from core.db.tables import ApiKey, DashboardSession
from core.ids import ProjectId, Scope

SESSION_LIFETIME: Final = timedelta(days=7)
LINK_LIFETIME: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The API key that a browser signed in with.

    `bound_to` is None if the key may name any project.
    """

    key_id: UUID
    key_name: str
    scope: Scope
    home: ProjectId | None
    bound_to: ProjectId | None


async def open_session(db: Writer, key_id: UUID) -> str:
    """Returns the secret of a new session, the value of the browser's cookie."""
    return await _add(db, key_id, is_link=False, lifetime=SESSION_LIFETIME)


async def make_link(db: Writer, key_id: UUID) -> str:
    """Returns the secret of a link that signs in one browser, once, within `LINK_LIFETIME`."""
    return await _add(db, key_id, is_link=True, lifetime=LINK_LIFETIME)


async def redeem_link(db: Writer, secret: str) -> str | None:
    """Exchanges the secret of a link for the secret of a session.

    None if the link is unknown, used or expired.
    """
    rows = await db.execute(
        delete(DashboardSession)
        .where(
            col(DashboardSession.token_hash) == _hash(secret),
            col(DashboardSession.is_link).is_(True),
            col(DashboardSession.expires_at) > clock.now(),
        )
        .returning(col(DashboardSession.api_key_id))
    )
    key_id = rows.scalar_one_or_none()
    return None if key_id is None else await open_session(db, key_id)


async def find(db: Reader, secrets_of_sessions: Collection[str]) -> dict[str, SignedIn]:
    """By secret. Omits unknown and expired sessions, and sessions of revoked or expired keys."""
    hashes = {_hash(secret): secret for secret in secrets_of_sessions}
    rows = await db.execute(
        select(
            *(col(column) for column in (ApiKey.id, ApiKey.name, ApiKey.scope, ApiKey.project_id)),
            *(col(ApiKey.any_project), col(ApiKey.revoked_at)),
            col(ApiKey.expires_at).label("key_expires_at"),
            *(col(DashboardSession.expires_at), col(DashboardSession.token_hash)),
        )
        .join(ApiKey, col(ApiKey.id) == col(DashboardSession.api_key_id))
        .where(
            col(DashboardSession.token_hash).in_(hashes),
            col(DashboardSession.is_link).is_(False),
        )
    )
    now = clock.now()
    return {hashes[row.token_hash]: _signed_in(row) for row in rows if _is_usable(row, now)}


def _is_usable(row: Any, now: datetime) -> bool:
    if row.expires_at <= now or row.revoked_at is not None:
        return False
    return row.key_expires_at is None or row.key_expires_at > now


def _signed_in(row: Any) -> SignedIn:
    home = None if row.project_id is None else ProjectId(row.project_id)
    return SignedIn(row.id, row.name, Scope(row.scope), home, None if row.any_project else home)


async def close_session(db: Writer, secret: str) -> None:
    """Signs the browser out. A repetition has no effect."""
    await db.execute(
        delete(DashboardSession).where(col(DashboardSession.token_hash) == _hash(secret))
    )


async def _add(db: Writer, key_id: UUID, *, is_link: bool, lifetime: timedelta) -> str:
    now = clock.now()
    await db.execute(delete(DashboardSession).where(col(DashboardSession.expires_at) <= now))
    secret = secrets.token_urlsafe(32)
    db.add(
        DashboardSession(
            token_hash=_hash(secret),
            api_key_id=key_id,
            is_link=is_link,
            created_at=now,
            expires_at=now + lifetime,
        )
    )
    await db.flush()
    return secret


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
