"""Query parameters: unknown names answer 422, names that begin with `_` are ignored."""

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import Scope

_IGNORED_PREFIX = "_"


async def check(request: Request) -> None:
    """Raises RequestValidationError for a name that the route does not declare.

    A misspelled filter would otherwise widen the result.
    """
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    declared = _declared(route)
    unknown = [
        name
        for name in request.query_params
        if name not in declared and not name.startswith(_IGNORED_PREFIX)
    ]
    if unknown:
        raise RequestValidationError(_problems(unknown, declared))


def without_ignored(scope: Scope) -> Scope:
    """The scope without the ignored parameters, which models would refuse."""
    query = scope.get("query_string", b"")
    if _IGNORED_PREFIX.encode() not in query and b"%5" not in query:
        return scope
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if not name.startswith(_IGNORED_PREFIX)]
    if len(kept) == len(pairs):
        return scope
    return {**scope, "query_string": urlencode(kept).encode()}


def _problems(unknown: Iterable[str], declared: Iterable[str]) -> list[dict[str, object]]:
    known = ", ".join(sorted(declared)) or "none"
    return [
        {
            "type": "extra_forbidden",
            "loc": ("query", name),
            "msg": f"This parameter does not exist; the endpoint has: {known}.",
        }
        for name in unknown
    ]


def _declared(route: APIRoute) -> frozenset[str]:
    return frozenset(_names(route.dependant))


def _names(dependant: Dependant) -> set[str]:
    names: set[str] = set()
    for field in dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            names |= {info.alias or name for name, info in model.model_fields.items()}
        else:
            names.add(field.alias)
    return names.union(*(_names(dependency) for dependency in dependant.dependencies))
