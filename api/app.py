"""The API process: `uvicorn api.app:create_app --factory`."""

import gc
import os
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.routing import BaseRoute
from temporalio.client import Client

from activities.diagnostics import pairs_of_others, silent_workers
from api import errors
from api.dashboard import pages as dashboard_pages
from api.dashboard.problems import PageHeaders
from api.dashboard.slow_parts import SlowParts
from api.dependencies import SCOPES, AppState
from api.doctor.start_report import reporting_troubles
from api.http.allowed_methods import AllowedMethods
from api.http.audit_trail import AuditTrail
from api.http.auth import Authenticator
from api.http.concurrency_limit import ConcurrencyLimit, share_of_owner
from api.http.gatekeeper import Gatekeeper, owner_of
from api.http.key_check import KeyCheck
from api.http.memory_budget import MemoryBudget
from api.http.middleware import RequestTrail
from api.http.prometheus import ApiMeasures
from api.http.rate_limit import RateLimit
from api.http.request_body import RequestBody
from api.http.security_headers import HostCheck, SecurityHeaders
from api.http.stream_limit import StreamLimit
from api.otlp import limits
from api.otlp.content_notices import ContentNotices
from api.overdue_rows import OverdueRows
from api.quotas import Quotas
from api.routes import (
    administration,
    api_keys,
    comparisons,
    exports,
    health,
    metrics,
    monitors,
    noise,
    otlp,
    projects,
    score_analytics,
    session_runs,
    session_scores,
    sessions,
    trace_analytics,
    trace_changes,
    trace_runs,
    trace_scores,
    traces,
)
from api.runs.run_counts import RunCounts
from api.runs.run_creation import RunCreation
from api.trace_ingest import TraceIngest
from core.db.database import Database
from core.db.group_commit import GroupCommit
from core.fair_slots import FairSlots
from core.ids import Scope
from core.open_database import open_database
from core.periodic import repeating
from core.queries import api_keys as key_rows
from core.queries import projects as project_rows
from core.queries.run_reader import RunReader
from core.settings import Settings
from core.telemetry import log_lines, tracing
from core.telemetry.sdk_logging import logging_runtime
from core.temporal.first_connection import connect_by_settings
from core.temporal.renewal import RENEW_SECONDS, Renewal
from core.temporal.schedule_sync import ScheduleSync
from core.temporal.schedules import Schedules
from workflows.comparison_client import ComparisonClient
from workflows.maintenance.admission import RunAdmission
from workflows.project_client import ProjectDeletions
from workflows.run_client import EvalRunClient

_DESCRIPTION = """
Post metrics and a selection of traces. Every pair of trace and metric is judged, even if processes
crash meanwhile, and gets a score with a reason.

1. Send traces to `POST /traces`.
2. Open a run with `POST /evaluations/trace-runs`.
3. Follow it at `/evaluations/trace-runs/{run_id}/events`, or read it at `…/{run_id}`.
4. Read `…/{run_id}/scores`.

Every request carries an API key, as `Authorization: Bearer <key>` or `X-API-Key: <key>`. A key
without a bound project names a project with `X-Project-ID` or `X-Project-Name`. Every response
carries an `X-Request-ID`, which the server's log also contains.
"""

THREAD_SWITCH_SECONDS = 0.001
"""How long a thread that computes may keep the event loop waiting. Python's default is 5 ms, and a
request waits for each of its steps."""

LARGE_READ_SECONDS = 20.0
"""How long a response with large traces waits for memory."""

_TAGS = [
    {"name": "Evaluation runs", "description": "Judge traces and sessions, durably."},
    {"name": "Comparisons", "description": "Compare two runs."},
    {"name": "Monitors", "description": "Runs on a schedule."},
    {"name": "Scores", "description": "What came out."},
    {"name": "Analytics", "description": "Statistics over scores and traces."},
    {"name": "Exports", "description": "Download scores, traces and comparisons."},
    {"name": "Metrics", "description": "Available metrics, and available judges."},
    {"name": "Traces", "description": "What agents did."},
    {"name": "Sessions", "description": "Traces that belong together."},
    {"name": "Administration", "description": "Projects, API keys, usage, the audit log."},
    {"name": "Operations", "description": "For operators of this service."},
]


# The router tries routes in order, so ingestion, which agents call most often, comes first.
# Analytics come before traces, because their paths would match as ids of traces.
_NOUNS = (
    *(otlp, trace_analytics, traces, trace_changes, sessions),
    *(
        trace_runs,
        session_runs,
        exports,
        comparisons,
        noise,
        monitors,
        trace_scores,
        score_analytics,
        session_scores,
    ),
    *(metrics, projects, api_keys, administration, health),
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Builds the app; without `settings`, from the environment.

    An app with settings from the environment is assumed to be the only one in its process.
    """
    owns_process = settings is None
    settings = settings or Settings.read()
    log_lines.configure(settings.log_level, settings.log_format, force=False)
    measures = ApiMeasures()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        environment = os.environ  # noqa: TID251  for the variables of OpenTelemetry
        with tracing.running("assay-api", environment):
            async with AsyncExitStack() as process:
                database = await process.enter_async_context(open_database(settings))
                await _make_key(database, settings)
                measures.watch_database(database)
                runtime = logging_runtime(settings.log_format)
                client = await connect_by_settings(settings, lazy=True, runtime=runtime)
                app.state.stack = await _stack(settings, database, measures, client)
                if owns_process:
                    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
                    # Freeze the start-up heap: a full collection over it would pause requests for
                    # about 170 ms.
                    gc.collect()
                    gc.freeze()
                    reporting = reporting_troubles(settings, database, client)
                    await process.enter_async_context(reporting)
                renewal = Renewal(client, settings.temporal_address)
                await process.enter_async_context(repeating(renewal.renew, every=RENEW_SECONDS))
                await process.enter_async_context(app.state.stack.admission.running())
                yield
                await app.state.stack.slow_parts.close()

    # The pages at /docs load their scripts from this server; plain FastAPI would load them from the
    # internet.
    app = FastAPIOffline(
        title="Assay",
        summary="Durable evaluation of agent traces by LLM judges.",
        description=_DESCRIPTION,
        version="1",
        openapi_tags=_TAGS,
        lifespan=lifespan,
        redirect_slashes=False,
        strict_content_type=False,
        generate_unique_id_function=_operation_id,
    )
    _add_middleware(app, settings, measures)
    errors.install(app)
    for noun in _NOUNS:
        app.include_router(noun.router)
    for router in dashboard_pages.ROUTERS:
        app.include_router(router)
    return app


def _add_middleware(app: FastAPI, settings: Settings, measures: ApiMeasures) -> None:
    """Adds the innermost middleware first and the outermost last.

    Outer checks are cheaper, and refuse requests first.
    """
    routes = list(_leaves(noun.router for noun in _NOUNS))
    app.add_middleware(
        RequestBody,
        limit=settings.max_body_bytes,
        memory=settings.max_body_memory_bytes,
        measures=measures,
    )
    app.add_middleware(AuditTrail)
    most = settings.max_concurrent_requests
    app.add_middleware(ConcurrencyLimit, most=share_of_owner(most), owner=owner_of)
    app.add_middleware(KeyCheck, routes=routes, scopes=SCOPES)
    app.add_middleware(AllowedMethods, routes=routes)
    app.add_middleware(ConcurrencyLimit, most=most)
    if settings.cors_origins:
        _allow_origins(app, settings.cors_origins)
    app.add_middleware(HostCheck, hosts=settings.allowed_hosts)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestTrail, measures=measures)
    app.add_middleware(PageHeaders)


def _leaves(routers: Iterable[APIRouter]) -> Iterator[BaseRoute]:
    """All routes, including those of nested routers."""
    for router in routers:
        for route in router.routes:
            inner = getattr(route, "original_router", None)
            if inner is None:
                yield route
            else:
                yield from _leaves([inner])


def _operation_id(route: APIRoute) -> str:
    return route.name


def _allow_origins(app: FastAPI, origins: str) -> None:
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[origin.strip() for origin in origins.split(",")],
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=[
            *("Authorization", "X-API-Key", "X-Project-ID", "X-Project-Name", "X-Request-ID"),
            *("Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Organization-ID"),
        ],
        expose_headers=["X-Request-ID", "Retry-After"],
    )


async def _make_key(database: Database, settings: Settings) -> None:
    if settings.bootstrap_api_key is None:
        return
    async with database.write() as db:
        project = await project_rows.ensure(db, settings.bootstrap_project)
        new = key_rows.NewKey("bootstrap", scope=Scope.ADMIN, project_id=project, any_project=True)
        text = settings.bootstrap_api_key.get_secret_value()
        await key_rows.ensure(db, new, text)
        await key_rows.revoke_others(db, new, text)


async def _stack(
    settings: Settings, database: Database, measures: ApiMeasures, client: Client
) -> AppState:
    authenticator = Authenticator(database)
    failures = settings.failed_auth_per_minute
    quotas = Quotas(database, settings)
    writes = GroupCommit(database)
    runs = EvalRunClient(
        client,
        task_queue=settings.task_queue,
        pairs_of_others=pairs_of_others(database),
        silent_workers=silent_workers(database),
    )
    admission = RunAdmission(database, runs, settings.open_runs, look_seconds=None)
    by_key = RateLimit(settings.rate_limit_per_second, settings.rate_limit_burst)
    return AppState(
        settings=settings,
        database=database,
        runs=runs,
        rows=RunReader(database),
        measures=measures,
        run_counts=RunCounts(database),
        overdue_rows=OverdueRows(database, settings.retention),
        ingest=TraceIngest(database, quotas),
        quotas=quotas,
        writes=writes,
        run_creation=RunCreation(writes, settings.open_runs, admission.wake),
        admission=admission,
        authenticator=authenticator,
        clockwork=ScheduleSync(database, Schedules(client, task_queue=settings.task_queue)),
        content_notices=ContentNotices(),
        gatekeeper=Gatekeeper(
            authenticator,
            by_key=by_key,
            failed_by_address=RateLimit(failures / 60, failures),
        ),
        rate_limit=by_key,
        streams=StreamLimit(settings.max_event_streams),
        project_deletions=ProjectDeletions(client, task_queue=settings.task_queue),
        comparisons=ComparisonClient(client, task_queue=settings.task_queue),
        slow_parts=SlowParts(),
        large_reads=MemoryBudget(settings.max_body_memory_bytes, wait_seconds=LARGE_READ_SECONDS),
        decoding=FairSlots(limits.MAX_CONCURRENT_DECODES),
    )
