"""The API process: `uvicorn api.app:create_app --factory`."""

import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline

from activities.waiting import Waiting
from api import errors, logs
from api.auth import Authenticator
from api.counters import Counters
from api.dependencies import Incoming, Stack
from api.limits import RateLimit
from api.methods import AllowedMethods
from api.middleware import BodyLimit, RequestTrail
from api.routes import (
    health,
    metrics,
    monitors,
    otlp,
    score_analytics,
    session_runs,
    session_scores,
    sessions,
    trace_changes,
    trace_figures,
    trace_runs,
    trace_scores,
    traces,
)
from api.rows import RunRows
from core import temporal
from core.batching import Batcher
from core.clockwork import Clockwork
from core.database import Database
from core.ids import Scope
from core.queries import keys, projects
from core.queries import traces as trace_queries
from core.schedules import Schedules
from core.settings import Settings
from core.store import opened
from workflows.control import EvalRuns

_DESCRIPTION = """
Post metrics and a choice of traces; every pair of trace and metric is judged, whatever crashes
meanwhile, and keeps a score with its reason.

1. Send traces to `POST /traces`.
2. Open a run with `POST /evaluations/trace-runs`.
3. Follow it at `/evaluations/trace-runs/{run_id}/events`, or read it at `…/{run_id}`.
4. Read `…/{run_id}/scores`.

Every request carries an API key, as `Authorization: Bearer <key>` or `X-API-Key: <key>`. A key
that is bound to no project names one with `X-Project-ID` or `X-Project-Name`. Every answer carries
an `X-Request-ID`, which the server's log has too.
"""

_TAGS = [
    {"name": "Evaluation runs", "description": "Judge traces and sessions, durably."},
    {"name": "Monitors", "description": "Runs that come back by themselves."},
    {"name": "Scores", "description": "What came out."},
    {"name": "Analytics", "description": "Scores and traces in figures."},
    {"name": "Metrics", "description": "What can be measured, and with which judges."},
    {"name": "Traces", "description": "What agents did."},
    {"name": "Sessions", "description": "Traces that belong together."},
    {"name": "Operations", "description": "For whoever runs this service."},
]


# The figures before the traces: their paths would pass for ids.
_NOUNS = (
    *(trace_runs, session_runs, monitors, trace_scores, score_analytics, session_scores),
    *(metrics, trace_figures, traces, trace_changes, sessions, otlp, health),
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Settings come from the environment unless they are given.

    With those of the environment the process is taken to serve this app and nothing else.
    """
    owns_process = settings is None
    settings = settings or Settings.read()
    logs.configure(settings.log_level)
    counters = Counters()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings) as database:
            await _make_key(database, settings)
            app.state.stack = await _stack(settings, database, counters)
            if owns_process:
                # All that was loaded stays. Searched by the collector now and again, it would
                # hold every request up for a sixth of a second.
                gc.collect()
                gc.freeze()
            yield

    # Its pages at /docs take their scripts from here; FastAPI's own take them from the internet.
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
    app.add_middleware(AllowedMethods, routes=[r for noun in _NOUNS for r in noun.router.routes])
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes)
    if settings.cors_origins:
        _allow_origins(app, settings.cors_origins)
    app.add_middleware(RequestTrail, counters=counters)
    errors.install(app)
    for noun in _NOUNS:
        app.include_router(noun.router)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def _allow_origins(app: FastAPI, origins: str) -> None:
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[origin.strip() for origin in origins.split(",")],
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=[
            *("Authorization", "X-API-Key", "X-Project-ID", "X-Project-Name", "X-Request-ID"),
            *("Content-Type", "Idempotency-Key", "Last-Event-ID"),
        ],
        expose_headers=["X-Request-ID", "Retry-After"],
    )


async def _make_key(database: Database, settings: Settings) -> None:
    if settings.bootstrap_api_key is None:
        return
    async with database.write() as db:
        project = await projects.ensure(db, settings.bootstrap_project)
        new = keys.NewKey("bootstrap", scope=Scope.ADMIN, project_id=project)
        await keys.ensure(db, new, settings.bootstrap_api_key.get_secret_value())


async def _stack(settings: Settings, database: Database, counters: Counters) -> Stack:
    client = await temporal.connect(
        default_address=f"127.0.0.1:{settings.temporal_port}", lazy=True
    )

    async def store(incoming: Sequence[Incoming]) -> None:
        # In the order of their ids, so that two processes never wait for each other's rows.
        ordered = sorted(incoming, key=lambda one: (one[0], one[1].trace_id))
        async with database.write() as db:
            await trace_queries.store_all(db, ordered)

    return Stack(
        settings=settings,
        database=database,
        runs=EvalRuns(
            client,
            task_queue=settings.task_queue,
            pairs_of_others=Waiting(database).pairs_of_others,
        ),
        rows=RunRows(database),
        counters=counters,
        ingest=Batcher(store, most=50),
        authenticator=Authenticator(database),
        clockwork=Clockwork(database, Schedules(client, task_queue=settings.task_queue)),
        rate_limit=RateLimit(settings.rate_limit_per_second, settings.rate_limit_burst),
    )
