"""The dependencies that routes declare by type."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from api.dashboard.slow_parts import SlowParts
from api.http import auth, strict_query
from api.http.gatekeeper import ACCESS, Gatekeeper
from api.http.memory_budget import MemoryBudget
from api.http.prometheus import ApiMeasures
from api.http.rate_limit import RateLimit
from api.http.stream_limit import StreamLimit
from api.otlp.content_notices import ContentNotices
from api.overdue_rows import OverdueRows
from api.quotas import Quotas
from api.runs.run_counts import RunCounts
from api.runs.run_creation import RunCreation
from api.trace_ingest import TraceIngest
from core.db.database import Database
from core.db.group_commit import GroupCommit
from core.fair_slots import FairSlots
from core.ids import ProjectId, Scope
from core.queries.run_reader import RunReader
from core.safe_text import PlainText
from core.settings import Settings
from core.telemetry import log_ids
from core.temporal.schedule_sync import ScheduleSync
from workflows.comparison_client import ComparisonClient
from workflows.maintenance.admission import RunAdmission
from workflows.project_client import ProjectDeletions
from workflows.run_client import EvalRunClient


@dataclass(frozen=True, slots=True)
class AppState:
    """The resources of an API process, created at its start."""

    settings: Settings
    database: Database
    runs: EvalRunClient
    rows: RunReader
    measures: ApiMeasures
    run_counts: RunCounts
    overdue_rows: OverdueRows
    ingest: TraceIngest
    quotas: Quotas
    run_creation: RunCreation
    admission: RunAdmission
    writes: GroupCommit
    authenticator: auth.Authenticator
    clockwork: ScheduleSync
    gatekeeper: Gatekeeper
    rate_limit: RateLimit
    content_notices: ContentNotices
    streams: StreamLimit
    project_deletions: ProjectDeletions
    comparisons: ComparisonClient
    slow_parts: SlowParts
    large_reads: MemoryBudget
    """Memory for responses with large traces."""
    decoding: FairSlots
    """Slots for decoding OTLP exports and large bodies, which occupies a core. Projects take turns.
    """


# All dependencies are coroutines, because FastAPI runs each plain function in a thread.


async def _stack(request: Request) -> AppState:
    stack = request.app.state.stack
    assert isinstance(stack, AppState)
    return stack


CurrentStack = Annotated[AppState, Depends(_stack)]

_bearer = HTTPBearer(auto_error=False, description="An API key.")
_api_key = APIKeyHeader(
    name="X-API-Key",
    auto_error=False,
    description="An API key; takes precedence over a bearer token.",
)


async def _key_text(
    _bearer_token: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    _header: Annotated[str | None, Depends(_api_key)],
) -> None:
    """Declares both headers for the OpenAPI document."""


SCOPES: Final[dict[Any, Scope]] = {}
"""The scope that each dependency on a project needs.

`KeyCheck` checks the scope before the body of the request is read.
"""


def _project(needed: Scope) -> Callable[..., Awaitable[ProjectId]]:
    async def project(
        request: Request,
        stack: CurrentStack,
        _key: Annotated[None, Depends(_key_text)],
        # `KeyCheck` reads these headers; declared here for the OpenAPI document.
        _id: Annotated[
            str | None,
            Header(
                alias="X-Project-ID",
                description="Required for a key without a bound project.",
                json_schema_extra={"format": "uuid"},
            ),
        ] = None,
        _name: Annotated[
            str | None,
            Header(
                alias="X-Project-Name",
                description="Instead of X-Project-ID; created on first use. Printable UTF-8.",
                json_schema_extra={"minLength": 1, "maxLength": auth.MAX_NAME_LENGTH},
            ),
        ] = None,
    ) -> ProjectId:
        await strict_query.check(request)
        found = await stack.authenticator.project(request.scope[ACCESS])
        log_ids.put(project_id=found)
        return found

    SCOPES[project] = needed
    return project


ReadProject = Annotated[ProjectId, Depends(_project(Scope.READ))]
"""The project of a request that only reads."""

WriteProject = Annotated[ProjectId, Depends(_project(Scope.WRITE))]

AdminProject = Annotated[ProjectId, Depends(_project(Scope.ADMIN))]
"""The project of a request that needs an administrator's key."""


async def _access(request: Request) -> auth.Access:
    access = request.scope[ACCESS]
    assert isinstance(access, auth.Access)
    return access


async def _admin(request: Request, _key: Annotated[None, Depends(_key_text)]) -> auth.Access:
    await strict_query.check(request)
    return await _access(request)


SCOPES[_admin] = Scope.ADMIN
AdminAccess = Annotated[auth.Access, Depends(_admin)]
"""The access of requests about projects and keys, which name no project."""

CurrentAccess = Annotated[auth.Access, Depends(_access)]
"""The rights of the request's key, for routes that also need the project."""

IdempotencyKey = Annotated[
    PlainText | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="A repeated key within 24 hours returns the first response again.",
    ),
]
