"""Who asks, and for which project."""

from dataclasses import dataclass
from hashlib import sha256
from time import monotonic
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import Headers

from core import clock
from core.database import Database, Reader
from core.errors import Forbidden, Invalid, Unauthenticated
from core.ids import ProjectId, Scope
from core.queries import keys, projects
from core.tables import ApiKey

_ORDER = [Scope.READ, Scope.WRITE, Scope.ADMIN]
LONGEST_NAME = 128
_MOST_REMEMBERED = 10_000
_UUID = TypeAdapter(UUID)


@dataclass(frozen=True, slots=True)
class NamedProject:
    """What the request's headers say."""

    id: UUID | None
    name: str | None


def named_project(headers: Headers) -> NamedProject:
    """Raises Invalid."""
    id, name = headers.get("x-project-id"), headers.get("x-project-name")
    return NamedProject(
        None if id is None else _project_id(id), None if name is None else _project_name(name)
    )


def _project_id(text: str) -> UUID:
    try:
        return _UUID.validate_python(text)
    except ValidationError:
        raise Invalid("X-Project-ID is not a UUID.") from None


def _project_name(text: str) -> str:
    # Servers hand headers over byte by byte; clients write them in UTF-8.
    try:
        name = text.encode("latin-1").decode()
    except UnicodeError:
        raise Invalid("X-Project-Name is not UTF-8.") from None
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise Invalid(f"X-Project-Name takes 1 to {LONGEST_NAME} printable characters.")
    return name


@dataclass(frozen=True, slots=True)
class Access:
    project_id: ProjectId
    key: ApiKey
    until: float


class RecentAccess:
    """What was granted a moment ago: a busy client costs one look-up every few seconds.

    A key that is revoked meanwhile opens for up to `seconds` longer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._granted: dict[tuple[bytes, str | None, str | None], Access] = {}

    def find(self, key_text: str, headers: Headers) -> Access | None:
        found = self._granted.get(self._name(key_text, headers))
        if found is None or found.until <= monotonic():
            return None
        expires_at = found.key.expires_at
        return None if expires_at is not None and expires_at <= clock.now() else found

    def add(self, key_text: str, headers: Headers, project_id: ProjectId, key: ApiKey) -> Access:
        if len(self._granted) >= _MOST_REMEMBERED:
            self._granted.clear()
        access = Access(project_id, key, monotonic() + self._seconds)
        self._granted[self._name(key_text, headers)] = access
        return access

    def _name(self, key_text: str, headers: Headers) -> tuple[bytes, str | None, str | None]:
        digest = sha256(key_text.encode()).digest()
        return digest, headers.get("x-project-id"), headers.get("x-project-name")


async def project_for(
    database: Database,
    recent: RecentAccess,
    key_text: str | None,
    headers: Headers,
    needed: Scope,
) -> Access:
    """The project this request works in. Raises Unauthenticated, Forbidden, Invalid."""
    if not key_text:
        raise Unauthenticated("Send an API key: Authorization: Bearer <key>, or X-API-Key: <key>.")
    access = recent.find(key_text, headers)
    if access is not None:
        _check_scope(access.key, needed)
        return access
    async with database.read() as db:
        key = await keys.find_usable(db, key_text)
    if key is None:
        raise Unauthenticated("This API key is unknown, revoked or expired.")
    _check_scope(key, needed)
    project_id = await _project_of(database, key, named_project(headers))
    return recent.add(key_text, headers, project_id, key)


def _check_scope(key: ApiKey, needed: Scope) -> None:
    scope = Scope(key.scope)
    if _ORDER.index(scope) < _ORDER.index(needed):
        raise Forbidden(f"This API key has the scope {scope}; {needed} is needed here.")


async def _project_of(database: Database, key: ApiKey, named: NamedProject) -> ProjectId:
    async with database.read() as db:
        if key.project_id is not None:
            return await _bound(db, key, named)
        if named.id is not None:
            return await _existing(db, named)
        if named.name is None:
            raise Invalid(
                "This API key is bound to no project: send X-Project-ID or X-Project-Name."
            )
        found = await projects.find(db, named.name)
    return found or await _made(database, named.name, Scope(key.scope))


async def _bound(db: Reader, key: ApiKey, named: NamedProject) -> ProjectId:
    assert key.project_id is not None
    foreign = named.id is not None and named.id != key.project_id
    if not foreign and named.name is not None:
        foreign = named.name != await projects.name_of(db, key.project_id)
    if foreign:
        raise Forbidden("This API key is bound to another project.")
    return ProjectId(key.project_id)


async def _existing(db: Reader, named: NamedProject) -> ProjectId:
    assert named.id is not None
    name = await projects.name_of(db, named.id)
    if name is None:
        raise Invalid(f"There is no project {named.id}.")
    if named.name is not None and named.name != name:
        raise Invalid("X-Project-ID and X-Project-Name name different projects; send one of them.")
    return ProjectId(named.id)


async def _made(database: Database, name: str, scope: Scope) -> ProjectId:
    if scope is Scope.READ:
        raise Forbidden("There is no project of this name, and a read key cannot make one.")
    async with database.write() as db:
        return await projects.ensure(db, name)
