"""The columns and cells of exported files."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from core import json_codec
from core.queries.trace_reads import StoredTrace

if TYPE_CHECKING:
    from core.db.tables import Score

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Spreadsheets read a cell that begins with one of these as a formula."""

SCORE_COLUMNS: Final = (
    *("score_id", "run_id", "target_type", "target_id", "metric", "status", "value", "threshold"),
    *("success", "applicable", "reason", "environment", "model", "metric_version"),
    *("judge_calls", "cached_calls", "prompt_tokens", "completion_tokens", "cost_usd"),
    *("repair_calls", "repair_cost_usd", "findings", "created_at"),
)

TRACE_COLUMNS: Final = (
    *("trace_id", "name", "status", "started_at", "ended_at", "session_id", "user_id", "tags"),
    *("environment", "release", "latency_ms", "span_count", "total_tokens", "total_cost"),
    *("input", "output", "metadata"),
)


def score_record(row: "Score") -> dict[str, Any]:
    """A score as a record, with separate columns for findings and facts of its metadata."""
    meta: Mapping[str, Any] = row.meta
    judge = meta.get("judge")
    findings = meta.get("findings")
    return {
        "score_id": str(row.id),
        "run_id": str(row.eval_run_id) if row.eval_run_id else None,
        "target_type": row.target_type.value,
        "target_id": row.target_id,
        "metric": row.name,
        "status": row.status.value,
        "value": row.number,
        "threshold": _number(meta.get("threshold")),
        "success": _boolean(meta.get("success")),
        "applicable": _boolean(meta.get("applicable", True)),
        "reason": row.reason,
        "environment": row.environment,
        "model": _text(judge.get("model")) if isinstance(judge, Mapping) else None,
        "metric_version": _text(meta.get("metric_version")),
        "judge_calls": row.judge_calls,
        "cached_calls": row.cached_calls,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "cost_usd": row.cost_usd,
        "repair_calls": row.repair_calls,
        "repair_cost_usd": row.repair_cost_usd,
        "findings": [_finding(one) for one in findings] if isinstance(findings, list) else [],
        "created_at": row.created_at,
    }


def trace_record(stored: StoredTrace) -> dict[str, Any]:
    row = stored.row
    return {
        "trace_id": str(row.id),
        "name": row.name,
        "status": str(row.status),
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "session_id": row.session_id,
        "user_id": row.user_id,
        "tags": stored.tags,
        "environment": row.environment,
        "release": row.release,
        "latency_ms": row.latency_ms,
        "span_count": row.span_count,
        "total_tokens": row.total_tokens,
        "total_cost": row.total_cost,
        "input": json_codec.dumps(row.input),
        "output": json_codec.dumps(row.output),
        "metadata": json_codec.dumps(row.metadata),
    }


def _finding(entry: Any) -> dict[str, Any]:
    finding: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {}
    steps, spans = finding.get("steps"), finding.get("span_ids")
    return {
        "kind": _text(finding.get("kind")),
        "text": _text(finding.get("text")),
        "verdict": _text(finding.get("verdict")),
        "points": _number(finding.get("points")),
        "steps": [int(step) for step in steps] if isinstance(steps, list) else [],
        "span_ids": [str(span) for span in spans] if isinstance(spans, list) else [],
    }


def csv_cell(value: Any) -> Any:
    """Adds an apostrophe to text that spreadsheets would run as a formula."""
    if isinstance(value, (list, dict)):
        value = json_codec.dumps(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value


def csv_row(record: Mapping[str, Any], columns: Sequence[str]) -> list[Any]:
    return [csv_cell(record[column]) for column in columns]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
