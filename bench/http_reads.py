"""The addresses that the benchmark of the API reads, and their labels."""

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

from bench import filled_store
from core.queries.trace_analytics import TraceFigure

MONTH = {
    "from": (filled_store.LAST - timedelta(days=30)).isoformat(),
    "to": filled_store.LAST.isoformat(),
}
LAST_DAY = (filled_store.LAST - timedelta(days=1)).isoformat()
OFFSETS = (100, 10_000, 100_000, 900_000)


def lists(run_id: UUID, trace_id: UUID) -> dict[str, str]:
    """Every first page, and every indexed filter alone and in combinations."""
    evaluations, month = "/evaluations", {"date_from": MONTH["from"], "date_to": MONTH["to"]}
    scores, of_sessions = f"{evaluations}/trace-scores", f"{evaluations}/session-scores"
    comparison = f"{evaluations}/analytics/session-scores/comparison"
    history = f"{evaluations}/analytics/session-scores/history/session-7"
    started = {"started_after": MONTH["from"], "started_before": MONTH["to"]}
    completion, reliability = {"name": "task_completion"}, {"name": "agent_reliability"}
    user, session = {"user_id": "user-7"}, {"session_id": "session-7"}
    of_metric = {"metric_name": "agent_reliability"}
    queries: list[tuple[str, Mapping[str, object]]] = [
        ("/traces", {}),
        ("/traces", {"sort_order": "asc"}),
        ("/traces", started),
        *(("/traces", started | one) for one in ({"status": "ERROR"}, {"name": "booking"})),
        *(("/traces", session | more) for more in ({}, user, started)),
        *(("/traces", user | more) for more in ({}, started, {"sort_by": "latency"})),
        *(("/traces", {"tags": tag}) for tag in ("team-7", "build-7")),
        *(("/traces", started | {"tags": tag}) for tag in ("team-7", "build-7")),
        ("/traces/users", {}),
        ("/sessions", {}),
        ("/sessions", {"sort_order": "asc"}),
        *(("/sessions", period) for period in (started, {"started_after": LAST_DAY})),
        *(("/sessions", one) for one in (user, {"has_error": "true"}, {"has_error": "false"})),
        *(("/sessions", {"tags": tag}) for tag in ("team-7", "build-7")),
        *(("/sessions", {"sort_by": key}) for key in ("trace_count", "latency", "cost")),
        ("/sessions/session-7", {}),
        *((scores, one) for one in ({}, month, {"trace_id": trace_id}, {"eval_run_id": run_id})),
        *((scores, completion | more) for more in ({}, month, {"trace_id": trace_id})),
        (scores, {"eval_run_id": run_id, "status": "FAILED"}),
        *((scores, one) for one in ({"status": "FAILED"}, {"environment": "staging"})),
        (f"{scores}/{trace_id}", {}),
        *((of_sessions, one) for one in ({}, month, session, reliability, reliability | month)),
        (f"{of_sessions}/session-7", {}),
        *((comparison, of_metric | more) for more in ({}, {"sort_order": "desc"})),
        (history, {}),
        *((f"{evaluations}/{runs}", {}) for runs in ("trace-runs", "session-runs")),
        (f"{evaluations}/trace-runs", {"status": "COMPLETED"}),
        (f"{evaluations}/monitors", {}),
    ]
    return {_label(path, query): f"{path}?{urlencode(query)}" for path, query in queries}


def figures() -> dict[str, str]:
    """All statistics, over a month."""
    month = {"date_from": MONTH["from"], "date_to": MONTH["to"]}
    started = {"started_after": MONTH["from"], "started_before": MONTH["to"]}
    queries: list[tuple[str, Mapping[str, object]]] = [
        *(("/traces/analytics", {"metric": name}) for name in TraceFigure),
        ("/traces/analytics", {"metric": "latency", "granularity": "hour"}),
        ("/sessions/analytics", {}),
    ]
    for noun, name in (("trace", "task_completion"), ("session", "agent_reliability")):
        scores, metric = f"/evaluations/analytics/{noun}-scores", {"metric_name": name}
        queries += [
            (f"{scores}/summary", {}),
            (f"{scores}/trend", {}),
            (f"{scores}/trend", metric | {"granularity": "hour"}),
            (f"{scores}/distribution", metric),
        ]
    return {
        _label(
            path, query
        ): f"{path}?{urlencode({**query, **(month if 'scores' in path else started)})}"
        for path, query in queries
    }


def depths(traces: int) -> dict[str, str]:
    """Pages of the long lists at growing offsets."""
    sessions = traces // filled_store.TRACES_PER_SESSION
    queries: list[tuple[str, Mapping[str, object]]] = [
        (path, {**order, "offset": offset})
        for path, order, length in (
            ("/traces", {}, traces),
            ("/traces", {"sort_by": "latency"}, traces),
            ("/evaluations/trace-scores", {}, 3 * traces),
            ("/sessions", {}, sessions),
            ("/sessions", {"sort_by": "cost"}, sessions),
        )
        for offset in OFFSETS
        if offset < length
    ]
    return {_label(path, query): f"{path}?{urlencode(query)}" for path, query in queries}


def _label(path: str, query: Mapping[str, object]) -> str:
    shown = {name: "…" if isinstance(value, UUID) else value for name, value in query.items()}
    named = "/".join(
        "…" if len(part) == len(str(UUID(int=0))) else part for part in path.split("/")
    )
    return named + "".join(f" {name}={str(value)[:16]}" for name, value in shown.items())
