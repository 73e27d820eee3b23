"""The page of a session: its traces on a timeline, their signals, and the conversation."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from api.dashboard import charts, formats, rendering, views
from api.dashboard.access import PageViewer, PageWriter
from api.dashboard.charts import Stretch
from core.db import paging
from core.ids import TargetType
from core.queries import score_reads, session_reads, trace_loading, trace_reads
from core.queries.trace_reads import StoredTrace
from core.trace_model import Trace
from evals import catalog
from evals.signals import FLAGGED_ABOVE, SIGNAL_WEIGHTS
from evals.transcript.transcript import Transcript

if TYPE_CHECKING:
    from core.db.tables import Score

router = APIRouter(include_in_schema=False)

_MAX_TRACES: Final = 100
_MAX_READ: Final = 30
_MAX_READ_BYTES: Final = 4_000_000
"""Number and bytes of the traces whose messages the page shows; it links to the others."""

_MAX_SAID: Final = 600
_LONG_WAIT: Final = 3.0
"""A wait of this many times the duration of all traces is shortened on the timeline."""


@dataclass(frozen=True, slots=True)
class SignalRow:
    number: int
    trace: Any
    title: str
    cells: dict[str, tuple[views.Cell, Any]]
    risk: float | None
    chart: Markup | None


@dataclass(frozen=True, slots=True)
class SessionMessage:
    """One message of the session, in trace `number`."""

    number: int
    trace_id: Any
    is_user: bool
    text: str


@router.get("/ui/{project}/sessions/{session_id:path}")
async def session(request: Request, viewer: PageViewer, session_id: str) -> HTMLResponse:
    project = viewer.project.id
    async with viewer.stack.database.read() as db:
        stored = await session_reads.get(db, project, session_id)
        traces = await trace_reads.heads_of_session(db, project, session_id, limit=_MAX_TRACES)
        scores = await score_reads.latest(db, project, TargetType.SESSION, session_id)
        ids = [one.row.id for one in traces]
        signals = await score_reads.latest_of_each(
            db, project, TargetType.TRACE, [str(trace_id) for trace_id in ids]
        )
        sized = await trace_loading.sized(db, project, ids)
        read = next(paging.chunks_by_size(sized, count=_MAX_READ, size=_MAX_READ_BYTES), [])
        loaded = await trace_loading.load(db, project, read)
    ordered = [loaded[trace_id] for trace_id in ids if trace_id in loaded]
    messages = await asyncio.to_thread(_messages_of, ordered)
    return rendering.page(
        request,
        "session.html",
        viewer,
        section="sessions",
        session=stored.row,
        user=stored.user_id,
        tags=stored.tags,
        scores=[(score, views.score_cell(score)) for score in scores],
        thresholds=catalog.thresholds(),
        timeline=_timeline(traces),
        rows=_signal_rows(traces, signals, _openings(messages), _judged_risks(scores)),
        signal_names=list(SIGNAL_WEIGHTS),
        weights=SIGNAL_WEIGHTS,
        said=messages,
        left_out=max(0, stored.row.trace_count - len(read)),
    )


def _messages_of(traces: Sequence[Trace]) -> list[SessionMessage]:
    return [
        SessionMessage(number, trace.id, message.role == "user", message.text[:_MAX_SAID])
        for number, trace in enumerate(traces, 1)
        for message in Transcript(trace).facts.messages
    ]


def _timeline(traces: Sequence[StoredTrace]) -> Markup:
    """The traces drawn to scale; shortens waits that are much longer than the traces."""
    if not traces:
        return Markup("")
    lengths = [max(0.05, (stretch.row.latency_ms or 0) / 1000) for stretch in traces]
    total = sum(lengths)
    waits = [0.0]
    for before, after in pairwise(traces):
        end = before.row.ended_at or before.row.started_at
        waits.append(max(0.0, (after.row.started_at - end).total_seconds()))
    most = _LONG_WAIT * total / max(1, len(traces))
    drawn = [min(wait, most) for wait in waits]
    whole = total + sum(drawn)
    at = 0.0
    stretches: list[Stretch] = []
    gaps: list[tuple[float, float, str]] = []
    labels = _every(len(traces))
    for number, (stretch, length, wait, shown) in enumerate(
        zip(traces, lengths, waits, drawn, strict=True), 1
    ):
        if wait > most and shown / whole > 0.12:
            gaps.append((at / whole, (at + shown) / whole, _wait(wait)))
        at += shown
        start = stretch.row.started_at
        label = (
            f"{start.day} {start:%b} {start:%H:%M}" if number % labels == 1 or labels == 1 else ""
        )
        bad = stretch.row.status.value == "ERROR"
        stretches.append(Stretch(0.98 * at / whole, 0.98 * length / whole, number, label, bad))
        at += length
    return charts.timeline(stretches, gaps)


def _every(count: int) -> int:
    """The step between labels, such that `count` labels fit."""
    return max(1, count // 8)


def _wait(seconds: float) -> str:
    return f"{formats.milliseconds(seconds * 1000)} without a trace"


def _openings(messages: Sequence[SessionMessage]) -> dict[Any, str]:
    """The first user message of each trace."""
    return {one.trace_id: one.text for one in reversed(messages) if one.is_user}


def _judged_risks(scores: "Sequence[Score]") -> dict[str, float]:
    """The risk of each trace in the newest agent_reliability score, by trace id."""
    for score in scores:
        listed = score.meta.get("signals")
        if score.name == "agent_reliability" and isinstance(listed, list):
            return {
                str(one.get("trace_id")): float(one["risk"])
                for one in listed
                if isinstance(one, dict) and isinstance(one.get("risk"), int | float)
            }
    return {}


def _signal_rows(
    traces: Sequence[StoredTrace],
    signals: "dict[str, list[Score]]",
    openings: dict[Any, str],
    judged: dict[str, float],
) -> list[SignalRow]:
    rows: list[SignalRow] = []
    for number, one in enumerate(traces, 1):
        scores = [
            score for score in signals.get(str(one.row.id), ()) if score.name in SIGNAL_WEIGHTS
        ]
        risk = judged.get(str(one.row.id))
        tone = "lo" if risk is not None and risk > FLAGGED_ABOVE else ""
        rows.append(
            SignalRow(
                number=number,
                trace=one.row,
                title=openings.get(one.row.id) or one.row.name,
                cells=views.score_cells(scores),
                risk=risk,
                chart=None if risk is None else charts.interval(risk, None, FLAGGED_ABOVE, tone),
            )
        )
    return rows


@router.post("/ui/{project}/delete-session")
async def delete(request: Request, viewer: PageWriter) -> Response:
    session_id = str((await request.form()).get("session", ""))
    async with viewer.stack.database.write() as db:
        await session_reads.remove(db, viewer.project.id, session_id)
    return rendering.redirect(viewer.at("/sessions"))
