"""Durations in a transcript: of the whole trace, and of its steps if they differ."""

from collections.abc import Sequence
from datetime import datetime

from core.ids import TraceStatus
from core.trace_model import Span, Trace
from evals.transcript.span_tree import Parents


def trace_header(trace: Trace, count: int) -> str:
    parts = [f"Trace {trace.status.value}"]
    if trace.ended_at is not None:
        parts.append(_duration(trace.started_at, trace.ended_at))
    elif trace.status in (TraceStatus.PENDING, TraceStatus.RUNNING):
        parts.append("not finished")
    parts.append(f"{count} step{'' if count == 1 else 's'}")
    return ", ".join(parts)


def durations(spans: Sequence[Span], parents: Parents) -> dict[int, str]:
    """The duration of each span; empty if all leaf spans took equally long."""
    durations_by_place = {
        place: _duration(span.started_at, span.ended_at)
        for place, span in enumerate(spans)
        if span.ended_at is not None
    }
    outer = set(parents)
    inner = {text for place, text in durations_by_place.items() if place not in outer}
    return durations_by_place if len(inner) > 1 else {}


def _duration(start: datetime, end: datetime) -> str:
    seconds = (end - start).total_seconds()
    if seconds < 0:
        return "0s"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.3g}s" if seconds < 600 else f"{seconds / 60:.0f}min"
