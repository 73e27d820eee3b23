"""Langfuse: traces with their observations, or observations alone."""

from collections.abc import Iterator
from typing import Any, Final

from api.importers.source import Export, Json, Source, export, nanoseconds, span, with_status

_OBSERVATION: Final = "langfuse.observation."
_TYPES: Final = frozenset(
    (
        *("GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EMBEDDING"),
        *("EVALUATOR", "GUARDRAIL"),
    )
)


def _recognizes(record: Json) -> bool:
    if isinstance(record.get("observations"), list):
        return True
    named = _first_given(record, "traceId", "trace_id") is not None
    return named and str(record.get("type", "")).upper() in _TYPES


def _exports(record: Json) -> Iterator[Export]:
    observations = record.get("observations")
    if not isinstance(observations, list):
        trace = _first_given(record, "traceId", "trace_id")
        yield export([_observation(record, str(trace), None)])
        return
    inner = record.get("trace")
    trace = inner if isinstance(inner, dict) else record
    if not isinstance(trace.get("id"), str):
        raise ValueError("the trace has no id")
    found = [one for one in observations if isinstance(one, dict)]
    root = f"trace {trace['id']}"
    spans = [_observation(one, trace["id"], root) for one in found]
    yield export([_root(trace, root, spans), *spans])


def _root(trace: Json, root: str, spans: list[Json]) -> Json:
    """The root span for the trace itself, which has its own input and output in Langfuse."""
    starts = [int(one["startTimeUnixNano"]) for one in spans]
    ends = [int(one["endTimeUnixNano"]) for one in spans]
    start = nanoseconds(trace.get("timestamp")) or min(starts, default=0)
    attributes = {
        _OBSERVATION + "type": "chain",
        _OBSERVATION + "input": trace.get("input"),
        _OBSERVATION + "output": trace.get("output"),
        "langfuse.trace.tags": trace.get("tags") or None,
        "langfuse.trace.metadata": trace.get("metadata") or None,
        "session.id": _first_given(trace, "sessionId", "session_id"),
        "user.id": _first_given(trace, "userId", "user_id"),
        "langfuse.environment": trace.get("environment"),
        "langfuse.release": trace.get("release"),
    }
    name = str(trace.get("name") or "trace")
    return span((trace["id"], root, None), name, (start, max(ends, default=start)), attributes)


def _observation(observation: Json, trace: str, root: str | None) -> Json:
    if not isinstance(observation.get("id"), str):
        raise ValueError("an observation has no id")
    start = nanoseconds(_first_given(observation, "startTime", "start_time"))
    end = nanoseconds(_first_given(observation, "endTime", "end_time")) or start
    total = _first_given(observation, "calculatedTotalCost", "totalCost", "total_cost")
    attributes = {
        _OBSERVATION + "type": str(observation.get("type", "span")).lower(),
        _OBSERVATION + "input": observation.get("input"),
        _OBSERVATION + "output": observation.get("output"),
        _OBSERVATION + "model.name": observation.get("model"),
        _OBSERVATION + "model.parameters": _first_given(
            observation, "modelParameters", "model_parameters"
        ),
        _OBSERVATION + "usage_details": _first_given(
            observation, "usageDetails", "usage_details", "usage"
        ),
        _OBSERVATION + "cost_details": _first_given(observation, "costDetails", "cost_details")
        or (None if total is None else {"total": total}),
        _OBSERVATION + "level": observation.get("level"),
        _OBSERVATION + "status_message": _first_given(
            observation, "statusMessage", "status_message"
        ),
        _OBSERVATION + "metadata": observation.get("metadata") or None,
        _OBSERVATION + "completion_start_time": _first_given(
            observation, "completionStartTime", "completion_start_time"
        ),
    }
    parent = _first_given(observation, "parentObservationId", "parent_observation_id") or root
    name = str(observation.get("name") or observation.get("type") or "span")
    made = span((trace, observation["id"], parent), name, (start, end), attributes)
    failed = observation.get("level") == "ERROR"
    return with_status(made, "ERROR" if failed else "", _first_given(observation, "statusMessage"))


def _first_given(record: Json, *names: str) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)


SOURCE = Source("Langfuse traces", _recognizes, _exports)
