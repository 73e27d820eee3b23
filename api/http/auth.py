"""Authenticates a request and finds its project."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from cachetools import TTLCache
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import Headers

from core.db.batching import Batcher
from core.db.database import Database
from core.errors import Forbidden, Invalid, Unauthenticated
from core.ids import ProjectId, Scope
from core.queries import api_keys, dashboard_sessions, projects
from core.queries.api_keys import UsableKey
from core.queries.dashboard_sessions import SignedIn

_SCOPES_BY_POWER = [Scope.READ, Scope.WRITE, Scope.ADMIN]
MAX_NAME_LENGTH = 128
MAX_CACHED_PROJECTS: Final = 10_000
MAX_CACHE_SECONDS: Final = 1.0
_UUID = TypeAdapter(UUID)
_NO_PROJECT = Invalid("This API key has no home project: send X-Project-ID or X-Project-Name.")


@dataclass(frozen=True, slots=True)
class NamedProject:
    """The project that the request's headers name."""

    id: UUID | None
    name: str | None


def named_project(headers: Headers) -> NamedProject:
    """Raises Invalid."""
    text, name = headers.get("x-project-id"), headers.get("x-project-name")
    return NamedProject(
        None if text is None else _project_id(text), None if name is None else _project_name(name)
    )


def _project_id(text: str) -> UUID:
    try:
        return _UUID.validate_python(text)
    except ValidationError:
        raise Invalid("X-Project-ID is not a UUID.") from None


def _project_name(text: str) -> str:
    # ASGI decodes headers as Latin-1; clients write UTF-8.
    try:
        name = text.encode("latin-1").decode()
    except UnicodeError:
        raise Invalid("X-Project-Name is not UTF-8.") from None
    if not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable():
        raise Invalid(f"X-Project-Name must have 1 to {MAX_NAME_LENGTH} printable characters.")
    return name


@dataclass(frozen=True, slots=True)
class Access:
    """The rights of a request's key, and its project, which may not exist yet."""

    key: UsableKey
    key_text: str = field(repr=False)
    needed: Scope
    project_id: ProjectId | None
    new_project: str | None = None

    @property
    def key_id(self) -> UUID:
        return self.key.id

    @property
    def bound_to(self) -> ProjectId | None:
        """The only project that the key may name; None if it may name any."""
        return None if self.key.any_project else self.key.project_id

    @property
    def owner(self) -> UUID:
        """The owner of the memory share that the request uses."""
        return self.project_id or self.key_id


class Authenticator:
    """Looks up the key for every request, so that a revoked key stops working at once.

    Concurrent requests share one query.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: Batcher[str, Mapping[str, UsableKey]] = Batcher(self._find_usable)
        self._sessions: Batcher[str, Mapping[str, SignedIn]] = Batcher(self._find_signed_in)
        self._projects = _Projects(database)

    async def access(self, key_text: str | None, headers: Headers, needed: Scope) -> Access:
        """Creates no project. Raises Unauthenticated, Forbidden, Invalid."""
        if not key_text:
            raise Unauthenticated(
                "Send an API key: Authorization: Bearer <key>, or X-API-Key: <key>."
            )
        key = await self._usable(key_text)
        _check_scope(key, needed)
        named = named_project(headers)
        if key.any_project:
            project_id = await self._named(named, key, needed)
        else:
            assert key.project_id is not None
            project_id = await self._bound(key.project_id, named)
        new = None if project_id else named.name
        return Access(key, key_text, needed, project_id, new)

    async def project(self, access: Access) -> ProjectId:
        """The project of a request, created on first use. Raises Invalid if it names none."""
        if access.project_id is not None:
            return access.project_id
        if access.new_project is None:
            raise _NO_PROJECT
        return await self._projects.make(access.new_project)

    def forget_projects(self) -> None:
        """Call this after a project was renamed or deleted."""
        self._projects.forget()

    async def check_again(self, access: Access) -> None:
        """Raises Unauthenticated once the key is revoked or expired."""
        await self._usable(access.key_text)

    async def signed_in(self, secret: str) -> SignedIn:
        """The browser with this session. Raises Unauthenticated once its key is unusable."""
        signed_in = await self._sessions.by_key(secret) if secret else None
        if signed_in is None:
            raise Unauthenticated("Sign in to see this page.")
        return signed_in

    async def _usable(self, key_text: str) -> UsableKey:
        key = await self._keys.by_key(key_text)
        if key is None:
            raise Unauthenticated("This API key is unknown, revoked or expired.")
        return key

    async def _find_usable(self, texts: Sequence[str]) -> dict[str, UsableKey]:
        return await self._database.read_at_once(
            lambda db: api_keys.find_usable(db, set(texts)), one_statement=True
        )

    async def _find_signed_in(self, secrets: Sequence[str]) -> dict[str, SignedIn]:
        return await self._database.read_at_once(
            lambda db: dashboard_sessions.find(db, set(secrets)), one_statement=True
        )

    async def _bound(self, project_id: ProjectId, named: NamedProject) -> ProjectId:
        foreign = named.id is not None and named.id != project_id
        if not foreign and named.name is not None:
            foreign = named.name != await self._projects.name_of(project_id)
        if foreign:
            raise Forbidden("This API key is bound to another project.")
        return project_id

    async def _named(self, named: NamedProject, key: UsableKey, needed: Scope) -> ProjectId | None:
        """The named project.

        None for a new name, whose project is created later, and for an administrator's request
        without a project.
        """
        if named.id is not None:
            return await self._existing(ProjectId(named.id), named.name)
        if named.name is None:
            if key.project_id is None and needed is not Scope.ADMIN:
                raise _NO_PROJECT
            return key.project_id
        found = await self._projects.find(named.name)
        if found is None and key.scope is Scope.READ:
            raise Forbidden("There is no project of this name, and a read key cannot create one.")
        return found

    async def _existing(self, project_id: ProjectId, named: str | None) -> ProjectId:
        name = await self._projects.name_of(project_id)
        if name is None:
            raise Invalid(f"There is no project {project_id}.")
        if named is not None and named != name:
            raise Invalid(
                "X-Project-ID and X-Project-Name name different projects; send one of them."
            )
        return project_id


def _check_scope(key: UsableKey, needed: Scope) -> None:
    scope = key.scope
    if _SCOPES_BY_POWER.index(scope) < _SCOPES_BY_POWER.index(needed):
        raise Forbidden(f"This API key has scope {scope}; this request needs scope {needed}.")


class _Projects:
    """Cache of project names and ids.

    An entry is valid for a second, because another process may rename or delete the project.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names: TTLCache[ProjectId, str] = TTLCache(MAX_CACHED_PROJECTS, MAX_CACHE_SECONDS)
        self._ids: TTLCache[str, ProjectId] = TTLCache(MAX_CACHED_PROJECTS, MAX_CACHE_SECONDS)

    def forget(self) -> None:
        self._names.clear()
        self._ids.clear()

    async def name_of(self, project_id: ProjectId) -> str | None:
        name = self._names.get(project_id)
        if name is None:
            async with self._database.read_autocommit() as db:
                name = await projects.name_of(db, project_id)
            self._remember(project_id, name)
        return name

    async def find(self, name: str) -> ProjectId | None:
        entry = self._ids.get(name)
        if entry is None:
            async with self._database.read_autocommit() as db:
                entry = await projects.find(db, name)
            self._remember(entry, name)
        return entry

    async def make(self, name: str) -> ProjectId:
        async with self._database.write() as db:
            return await projects.ensure(db, name)

    def _remember(self, project_id: ProjectId | None, name: str | None) -> None:
        if project_id is not None and name is not None:
            self._names[project_id], self._ids[name] = name, project_id
