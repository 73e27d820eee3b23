"""What routes ask for by type."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from api import auth
from api.counters import Counters
from api.limits import RateLimit
from api.rows import RunRows
from core.batching import Batcher
from core.clockwork import Clockwork
from core.database import Database
from core.ids import ProjectId, Scope
from core.ingestion import TraceBody
from core.settings import Settings
from core.text import PlainText
from workflows.control import EvalRuns

Incoming = tuple[ProjectId, TraceBody]


@dataclass(frozen=True, slots=True)
class Stack:
    """What one API process works with; made at its start."""

    settings: Settings
    database: Database
    runs: EvalRuns
    rows: RunRows
    counters: Counters
    ingest: Batcher[Incoming, None]
    authenticator: auth.Authenticator
    clockwork: Clockwork
    rate_limit: RateLimit


# Dependencies are coroutines though they wait for nothing: others would each cost a thread.


async def _stack(request: Request) -> Stack:
    stack = request.app.state.stack
    assert isinstance(stack, Stack)
    return stack


CurrentStack = Annotated[Stack, Depends(_stack)]

_bearer = HTTPBearer(auto_error=False, description="An API key.")
_api_key = APIKeyHeader(
    name="X-API-Key", auto_error=False, description="An API key; it wins over a bearer."
)


async def _key_text(
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    api_key: Annotated[str | None, Depends(_api_key)],
) -> str | None:
    return api_key or (bearer.credentials if bearer else None)


def _project(needed: Scope) -> Callable[..., Awaitable[ProjectId]]:
    async def project(
        request: Request,
        stack: CurrentStack,
        key_text: Annotated[str | None, Depends(_key_text)],
        # Read by `auth`, declared so that the documentation shows them.
        _id: Annotated[
            str | None,
            Header(
                alias="X-Project-ID",
                description="For a key that is bound to no project.",
                json_schema_extra={"format": "uuid"},
            ),
        ] = None,
        _name: Annotated[
            str | None,
            Header(
                alias="X-Project-Name",
                description="Instead of an id; made on first use. Printable, in UTF-8.",
                json_schema_extra={"minLength": 1, "maxLength": auth.LONGEST_NAME},
            ),
        ] = None,
    ) -> ProjectId:
        access = await stack.authenticator.access(key_text, request.headers, needed)
        stack.rate_limit.take(access.key_id)
        return access.project_id

    return project


ReadProject = Annotated[ProjectId, Depends(_project(Scope.READ))]
"""The project of a request that changes nothing."""

WriteProject = Annotated[ProjectId, Depends(_project(Scope.WRITE))]

IdempotencyKey = Annotated[
    PlainText | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key within 24 hours answers the first response again.",
    ),
]
