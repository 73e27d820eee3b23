"""Rows and bodies for tests. A test states only the field under test."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from core import clock
from core.db.database import Database, Writer
from core.db.tables import EvalMonitor, EvalRun
from core.ids import MonitorId, ProjectId, RunStatus, ScoreStatus, TargetType
from core.queries import monitor_rows, run_rows, trace_writes
from core.queries.run_pairs import NewScore
from core.queries.run_rows import NewRun
from core.run_spec import RunSpec
from core.trace_input import TraceBody

START = datetime(2026, 9, 1, 9, 0, tzinfo=UTC)


def span_body(**overrides: Any) -> dict[str, Any]:
    """A span in the form of `POST /traces`."""
    return {
        "span_id": str(uuid4()),
        "name": "step",
        "started_at": START.isoformat(),
        "ended_at": (START + timedelta(seconds=1)).isoformat(),
    } | overrides


def tool_span_body(name: str, arguments: Any, result: Any, **overrides: Any) -> dict[str, Any]:
    return span_body(
        name=name, kind="TOOL", status="OK", input=arguments, output=result, **overrides
    )


def trace_body(**overrides: Any) -> dict[str, Any]:
    """A trace in the form of `POST /traces`: one tool call, one answer."""
    return {
        "trace_id": str(uuid4()),
        "name": "support-agent",
        "input": "Where is my order 4711?",
        "output": "Your order 4711 is out for delivery and arrives today.",
        "started_at": START.isoformat(),
        "ended_at": (START + timedelta(seconds=3)).isoformat(),
        "spans": [tool_span_body("find_order", {"order": "4711"}, {"state": "out for delivery"})],
    } | overrides


def trace_id(body: dict[str, Any]) -> UUID:
    return UUID(body["trace_id"])


def new_run(project_id: ProjectId, **overrides: Any) -> NewRun:
    """`overrides`: fields of the RunSpec, and `filters`."""
    filters = overrides.pop("filters", {})
    fields: dict[str, Any] = {
        "run_id": uuid4(),
        "project_id": project_id,
        "target_type": TargetType.TRACE,
        "metric_names": ["task_completion"],
        "model": "offline/rules",
    }
    return NewRun(spec=RunSpec(**(fields | overrides)), filters=filters)


def new_score(run: EvalRun, target_id: str, **overrides: Any) -> NewScore:
    fields: dict[str, Any] = {
        "run_id": run.id,
        "project_id": run.project_id,
        "target_type": run.target_type,
        "target_id": target_id,
        "metric": run.metric_names[0],
        "status": ScoreStatus.SUCCESS,
        "reason": "It did what was asked.",
        "number": 1.0,
    }
    return NewScore(**(fields | overrides))


async def store(db: Writer, project_id: ProjectId, body: TraceBody) -> UUID:
    await trace_writes.store_all(db, [(project_id, body)])
    return body.trace_id


async def store_traces(
    database: Database, project_id: ProjectId, count: int, **overrides: Any
) -> list[UUID]:
    """Traces that start a second apart, oldest first."""
    bodies = [
        trace_body(started_at=(START + timedelta(seconds=n)).isoformat(), **overrides)
        for n in range(count)
    ]
    async with database.write() as db:
        for body in bodies:
            await store(db, project_id, TraceBody.model_validate(body))
    return [trace_id(body) for body in bodies]


async def end_run(
    database: Database,
    project_id: ProjectId,
    run_id: UUID,
    status: RunStatus = RunStatus.COMPLETED,
    error_message: str | None = None,
) -> None:
    """Ends a run, independent of its pairs."""
    async with database.write() as db:
        row = await run_rows.lock(db, project_id, run_id)
        row.status, row.error_message, row.completed_at = status, error_message, clock.now()


def monitor_settings(**overrides: Any) -> monitor_rows.MonitorSettings:
    fields: dict[str, Any] = {
        "name": "nightly",
        "metric_names": ["task_completion"],
        "filters": {},
        "sampling_rate": 1.0,
        "model": "offline/rules",
        "cadence": "daily",
        "only_if_changed": True,
    }
    return monitor_rows.MonitorSettings(**(fields | overrides))


async def make_monitor(database: Database, project_id: ProjectId, **overrides: Any) -> EvalMonitor:
    """The row of a monitor, without a schedule."""
    async with database.write() as db:
        return await monitor_rows.create(
            db,
            project_id,
            MonitorId(uuid4()),
            TargetType.TRACE,
            monitor_settings(**overrides),
        )
