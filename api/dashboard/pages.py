"""All pages of the dashboard, one module of routes per page."""

from typing import Final

from fastapi import APIRouter

from api.dashboard import (
    compare,
    compare_list,
    events,
    judges,
    metrics,
    monitor,
    monitors,
    new_run,
    overview,
    run,
    run_acts,
    runs,
    score,
    scores,
    search,
    session,
    sessions,
    settings,
    sign_in,
    static_files,
    trace,
    traces,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    *(static_files.router, sign_in.router),
    *(overview.router, events.router, search.router, settings.router),
    *(
        runs.router,
        compare.router,
        compare_list.router,
        new_run.router,
        run_acts.router,
        run.router,
    ),
    *(scores.router, score.router, traces.router, trace.router),
    *(sessions.router, session.router),
    *(monitors.router, monitor.router),
    *(metrics.router, judges.router),
)
"""The pages in the order of route matching: fixed addresses before addresses with an id."""
