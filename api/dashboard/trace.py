"""The page of a trace: its steps on a clock, the span tree, the text for the judge, and its
scores.
"""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, Field

from api.dashboard import annotations, rendering, steps, views
from api.dashboard.access import PageViewer, PageWriter
from api.dashboard.steps import StepsChoice
from api.whole_trace import room_for
from core.ids import TargetType
from core.queries import score_annotations, score_reads, trace_loading, trace_reads, trace_titles
from core.safe_text import PlainText
from core.trace_model import Trace
from core.truncation import truncate
from evals import catalog
from evals.transcript.transcript import Transcript

if TYPE_CHECKING:
    from core.db.tables import Score

router = APIRouter(include_in_schema=False)

JUDGE_TOKENS: Final = 32_000
"""The input budget of the rendering, if the score does not state its own."""

_VIEWS: Final = ("steps", "spans", "judge")
_MAX_METADATA: Final = 60


class TraceAddress(BaseModel):
    """Parameters of the page: the view, the first step, and the step that is shown in full."""

    view: PlainText = Field("steps")
    first: int = Field(1, ge=1, le=1_000_000)
    step: int | None = Field(None, ge=1, le=1_000_000)
    finding: PlainText = ""


@dataclass(frozen=True, slots=True)
class ModelUse:
    """The usage of one model in a trace."""

    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


@router.get("/ui/{project}/traces/{trace_id}")
async def trace(
    request: Request,
    viewer: PageViewer,
    trace_id: UUID,
    parameters: Annotated[TraceAddress, Query()],
) -> HTMLResponse:
    project = viewer.project.id
    view = parameters.view if parameters.view in _VIEWS else "steps"
    async with room_for(viewer.stack, project, trace_id):
        async with viewer.stack.database.read() as db:
            stored = await trace_reads.get(db, project, trace_id)
            loaded = (await trace_loading.load(db, project, [trace_id]))[trace_id]
            titles = await trace_titles.of_traces(db, project, [trace_id])
            scores = await score_reads.latest(db, project, TargetType.TRACE, str(trace_id))
        read = await asyncio.to_thread(_read, stored, loaded, parameters, view)
    return rendering.page(
        request,
        "trace.html",
        viewer,
        section="traces",
        trace=stored.row,
        title=titles.get(trace_id, views.GONE),
        tags=stored.tags,
        view=view,
        scores=[_with_cell(score) for score in scores],
        thresholds=catalog.thresholds(),
        figure_rows=views.figure_rows(scores),
        metrics=[metric.name for metric in catalog.trace_metrics()],
        **read,
    )


def _read(
    stored: trace_reads.StoredTrace, loaded: Trace, parameters: TraceAddress, view: str
) -> dict[str, Any]:
    """Runs in a thread, because preparing a large trace takes long and other requests must
    continue.
    """
    transcript = Transcript(loaded)
    page = steps.of_trace(loaded, transcript, (), StepsChoice(parameters.first, parameters.step))
    read: dict[str, Any] = {
        "page": page,
        "uses": _uses(stored.spans),
        "shares": steps.time_shares(loaded),
        "metadata": _shown_metadata(stored.row.metadata),
    }
    if view == "judge":
        rendering_ = transcript.prompt(JUDGE_TOKENS)
        read |= {"text": rendering_.text, "truncated": rendering_.truncated}
    if view == "spans":
        read["spans"] = span_rows(loaded)
    return read


@dataclass(frozen=True, slots=True)
class SpanRow:
    depth: int
    span: Any
    took: float | None
    has_failed: bool


def span_rows(trace: Trace) -> list[SpanRow]:
    """The rows of the span tree, ordered by start within each parent."""
    children: dict[Any, list[Any]] = {}
    known = {span.id for span in trace.spans}
    for span in trace.spans:
        parent = span.parent_id if span.parent_id in known and span.parent_id != span.id else None
        children.setdefault(parent, []).append(span)
    rows: list[SpanRow] = []
    written: set[Any] = set()
    waiting = [(span, 0) for span in reversed(children.get(None, []))]
    while waiting:
        span, depth = waiting.pop()
        if span.id in written:
            continue
        written.add(span.id)
        rows.append(_span_row(span, depth))
        waiting += [(child, depth + 1) for child in reversed(children.get(span.id, []))]
    # Spans whose parents form a cycle are below no root.
    return rows + [_span_row(span, 0) for span in trace.spans if span.id not in written]


def _span_row(span: Any, depth: int) -> SpanRow:
    took = (
        None if span.ended_at is None else (span.ended_at - span.started_at).total_seconds() * 1000
    )
    return SpanRow(min(depth, 12), span, took, bool(span.error) or span.status.value == "ERROR")


def _with_cell(score: "Score") -> "tuple[Score, views.Cell]":
    return score, views.score_cell(score)


def _uses(spans: Any) -> list[ModelUse]:
    by_model: dict[str, list[Any]] = {}
    for span in spans:
        if span.model:
            by_model.setdefault(span.model, []).append(span)
    return [
        ModelUse(
            model,
            len(of_model),
            sum(span.prompt_tokens for span in of_model),
            sum(span.completion_tokens for span in of_model),
            sum(span.total_cost for span in of_model),
        )
        for model, of_model in sorted(by_model.items())
    ]


def _shown_metadata(metadata: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (str(name), truncate(str(value), 500))
        for name, value in list(metadata.items())[:_MAX_METADATA]
    ]


@router.post("/ui/{project}/traces/{trace_id}/scores")
async def add_score(request: Request, viewer: PageWriter, trace_id: UUID) -> Response:
    form = await request.form()
    annotation = annotations.of_person(
        str(form.get("metric", "")), str(form.get("value", "")), str(form.get("note", ""))
    )
    async with viewer.stack.database.write() as db:
        await score_annotations.add_to_trace(db, viewer.project.id, trace_id, annotation)
    return rendering.redirect(viewer.at(f"/traces/{trace_id}"))
