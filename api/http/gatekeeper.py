"""Decides who may send a request, and how often."""

import hashlib
from collections.abc import Hashable
from typing import Final

from cachetools import TTLCache
from starlette.datastructures import Headers
from starlette.types import Scope as AsgiScope

from api.http.auth import Access, Authenticator
from api.http.rate_limit import RateLimit
from core.errors import RateLimited, Unauthenticated
from core.ids import Scope

ACCESS: Final = "assay.access"
"""Key of the ASGI scope for the rights of the request's key."""

_MAX_KNOWN_KEYS = 10_000
_KNOWN_KEY_SECONDS = 600.0


class Gatekeeper:
    """Authenticates requests, and limits failed attempts by address and requests by key.

    Refuses an address with too many failed attempts without a query. Keys that worked recently are
    exempt, so that clients behind one proxy do not lock each other out.
    """

    def __init__(
        self, authenticator: Authenticator, *, by_key: RateLimit, failed_by_address: RateLimit
    ) -> None:
        self._authenticator = authenticator
        self._by_key = by_key
        self._failed = failed_by_address
        self._known: TTLCache[bytes, None] = TTLCache(_MAX_KNOWN_KEYS, _KNOWN_KEY_SECONDS)

    async def admit(self, headers: Headers, address: str, needed: Scope) -> Access:
        """Raises Unauthenticated, Forbidden, Invalid, RateLimited."""
        text = key_text(headers)
        digest = hashlib.sha256((text or "").encode("utf-8", "surrogateescape")).digest()
        if digest not in self._known and (wait := self._failed.wait(address)):
            raise RateLimited("Too many failed attempts from this address.", retry_after=wait)
        try:
            access = await self._authenticator.access(text, headers, needed)
        except Unauthenticated:
            self._known.pop(digest, None)
            self._failed.count(address)
            raise
        self._known[digest] = None
        self._by_key.take(access.key_id)
        return access


def key_text(headers: Headers) -> str | None:
    """The API key of a request: X-API-Key, else Authorization: Bearer."""
    if given := headers.get("x-api-key"):
        return given
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() or None if scheme.lower() == "bearer" else None


def owner_of(scope: AsgiScope) -> Hashable:
    """The project or key to which the memory and the slot of a request are counted.

    All requests without a key have one owner, because anybody can send them, from any number of
    connections.
    """
    access: Access | None = scope.get(ACCESS)
    return None if access is None else access.owner
