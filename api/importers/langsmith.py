"""LangSmith: one run per line."""

from collections.abc import Iterator
from typing import Any

from api.importers.source import (
    Export,
    Json,
    Source,
    export,
    nanoseconds,
    span,
    text,
    with_status,
)


def _recognizes(record: Json) -> bool:
    return "run_type" in record and "id" in record


def _exports(record: Json) -> Iterator[Export]:
    start = nanoseconds(record.get("start_time"))
    if not start:
        raise ValueError("the run has no start time")
    kind = str(record["run_type"])
    extra = _object(record.get("extra"))
    metadata = _object(extra.get("metadata"))
    usage = _object(_object(record.get("outputs")).get("usage_metadata"))
    parameters = _object(extra.get("invocation_params"))
    attributes = {
        "langsmith.span.kind": kind,
        "gen_ai.prompt": None if record.get("inputs") is None else text(record["inputs"]),
        "gen_ai.completion": None if record.get("outputs") is None else text(record["outputs"]),
        "gen_ai.request.model": metadata.get("ls_model_name") or parameters.get("model"),
        "gen_ai.tool.definitions": parameters.get("tools"),
        "gen_ai.tool.name": record.get("name") if kind == "tool" else None,
        "gen_ai.usage.input_tokens": record.get("prompt_tokens") or usage.get("input_tokens"),
        "gen_ai.usage.output_tokens": record.get("completion_tokens") or usage.get("output_tokens"),
        "gen_ai.usage.cost": record.get("total_cost"),
        "langsmith.span.tags": ", ".join(map(str, record.get("tags") or ())) or None,
        **{f"langsmith.metadata.{name}": found for name, found in metadata.items()},
    }
    trace = str(record.get("trace_id") or record["id"])
    parent = record.get("parent_run_id")
    otlp_span = span(
        (trace, str(record["id"]), str(parent) if parent else None),
        str(record.get("name") or kind),
        (start, nanoseconds(record.get("end_time"))),
        attributes,
    )
    error = record.get("error")
    yield export([with_status(otlp_span, "ERROR" if error else "", error)])


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


SOURCE = Source("LangSmith runs", _recognizes, _exports)
