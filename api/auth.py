"""Who asks, and for which project."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import Headers

from core.batching import Batcher
from core.database import Database
from core.errors import Forbidden, Invalid, Unauthenticated
from core.ids import ProjectId, Scope
from core.queries import keys, projects
from core.queries.keys import UsableKey

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
    key_id: UUID


class Authenticator:
    """Looks keys up with each request, so that a revoked one opens nothing from then on.

    Requests that come at the same time share one query.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys = Batcher(self._find_usable)
        self._projects = _Projects(database)

    async def access(self, key_text: str | None, headers: Headers, needed: Scope) -> Access:
        """The project a request works in. Raises Unauthenticated, Forbidden, Invalid."""
        if not key_text:
            raise Unauthenticated(
                "Send an API key: Authorization: Bearer <key>, or X-API-Key: <key>."
            )
        key = (await self._keys.submit(key_text)).get(key_text)
        if key is None:
            raise Unauthenticated("This API key is unknown, revoked or expired.")
        _check_scope(key, needed)
        named = named_project(headers)
        if key.project_id is None:
            return Access(await self._named(named, key.scope), key.id)
        return Access(await self._bound(ProjectId(key.project_id), named), key.id)

    async def _find_usable(self, texts: Sequence[str]) -> dict[str, UsableKey]:
        async with self._database.read_once() as db:
            return await keys.find_usable(db, set(texts))

    async def _bound(self, project_id: ProjectId, named: NamedProject) -> ProjectId:
        foreign = named.id is not None and named.id != project_id
        if not foreign and named.name is not None:
            foreign = named.name != await self._projects.name_of(project_id)
        if foreign:
            raise Forbidden("This API key is bound to another project.")
        return project_id

    async def _named(self, named: NamedProject, scope: Scope) -> ProjectId:
        if named.id is not None:
            return await self._existing(ProjectId(named.id), named.name)
        if named.name is None:
            raise Invalid(
                "This API key is bound to no project: send X-Project-ID or X-Project-Name."
            )
        found = await self._projects.find(named.name)
        if found is None and scope is Scope.READ:
            raise Forbidden("There is no project of this name, and a read key cannot make one.")
        return found or await self._projects.make(named.name)

    async def _existing(self, id: ProjectId, named: str | None) -> ProjectId:
        name = await self._projects.name_of(id)
        if name is None:
            raise Invalid(f"There is no project {id}.")
        if named is not None and named != name:
            raise Invalid(
                "X-Project-ID and X-Project-Name name different projects; send one of them."
            )
        return id


def _check_scope(key: UsableKey, needed: Scope) -> None:
    scope = key.scope
    if _ORDER.index(scope) < _ORDER.index(needed):
        raise Forbidden(f"This API key has the scope {scope}; {needed} is needed here.")


class _Projects:
    """A project keeps its name and its id: those named before are not looked up again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names: dict[ProjectId, str] = {}
        self._ids: dict[str, ProjectId] = {}

    async def name_of(self, id: ProjectId) -> str | None:
        if id not in self._names:
            async with self._database.read() as db:
                self._remember(id, await projects.name_of(db, id))
        return self._names.get(id)

    async def find(self, name: str) -> ProjectId | None:
        if name not in self._ids:
            async with self._database.read() as db:
                self._remember(await projects.find(db, name), name)
        return self._ids.get(name)

    async def make(self, name: str) -> ProjectId:
        async with self._database.write() as db:
            return await projects.ensure(db, name)

    def _remember(self, id: ProjectId | None, name: str | None) -> None:
        if id is None or name is None:
            return
        if len(self._names) >= _MOST_REMEMBERED:
            self._names.clear()
            self._ids.clear()
        self._names[id], self._ids[name] = name, id
