"""The page of a score: the transcript, the judge's findings, and the reader's verdict on them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import Field

from api.dashboard import annotations, findings, judge_view, rendering, scores, steps, views
from api.dashboard.access import PageViewer, PageWriter, ProjectViewer
from api.dashboard.findings import FindingView
from api.dashboard.list_address import MAX_OFFSET
from api.dashboard.score_address import ScoreListAddress
from api.dashboard.steps import StepsChoice
from api.schemas.runs import EvalRunBody
from core.db.database import Reader
from core.errors import Conflict
from core.ids import TargetType
from core.queries import (
    run_rows,
    score_annotations,
    score_listing,
    score_reads,
    trace_loading,
    trace_titles,
)
from core.queries.score_listing import Neighbors
from core.safe_text import PlainText
from core.trace_model import Trace
from evals import catalog
from evals.transcript.transcript import Transcript

if TYPE_CHECKING:
    from core.db.tables import Score

router = APIRouter(include_in_schema=False)


class ScoreAddress(ScoreListAddress):
    """Parameters of the page: the list from which it was opened, the marked finding, and the shown
    steps.
    """

    offset: int | None = Field(None, ge=0, le=MAX_OFFSET)  # type: ignore[assignment] # None: not opened from a list
    finding: PlainText = ""
    only: PlainText = ""
    view: PlainText = ""
    first: int = Field(1, ge=1, le=1_000_000)
    step: int | None = Field(None, ge=1, le=1_000_000)


@router.get("/ui/{project}/scores/{score_id}")
async def score(
    request: Request,
    viewer: PageViewer,
    score_id: UUID,
    parameters: Annotated[ScoreAddress, Query()],
) -> HTMLResponse:
    project = viewer.project.id
    async with viewer.stack.database.read() as db:
        row = await score_listing.get(db, project, score_id)
        context = await _context(db, viewer, row, parameters)
        trace, title = await _trace(db, viewer, row)
    finding_views = findings.of_score(row)
    if trace is not None:
        context |= await asyncio.to_thread(
            _read, trace, finding_views, parameters, row.name, context["judge"]
        )
    return rendering.page(
        request,
        "score.html",
        viewer,
        section="runs",
        trace=trace,
        title=title,
        findings=finding_views,
        against=sum(1 for one in finding_views if one.against),
        legend=findings.legend(finding_views),
        sums=_sums(finding_views),
        view=parameters.view,
        asked_for=parameters,
        **context,
    )


async def _context(
    db: Reader, viewer: ProjectViewer, row: "Score", parameters: ScoreAddress
) -> dict[str, Any]:
    """The values of the page besides the transcript and the findings."""
    project = viewer.project.id
    run = None if row.eval_run_id is None else await run_rows.find(db, project, row.eval_run_id)
    body = None if run is None else EvalRunBody.of(run)
    around = await _around(db, viewer, parameters)
    label = (await score_listing.by_people(db, project, [row])).get((row.target_id, row.name))
    others = await score_reads.latest(db, project, row.target_type, row.target_id)
    threshold = _threshold(row)
    judge = row.meta.get("judge")
    return {
        "page": None,
        "score": row,
        "cell": views.score_cell(row, threshold),
        "threshold": threshold,
        "thresholds": catalog.thresholds(),
        "run": body,
        "run_name": views.run_name(body) if body else "",
        "around": around,
        "list_address": _list_address(viewer, parameters, None),
        "neighbors": _neighbor_addresses(viewer, parameters, around),
        "others": [(one, views.score_cell(one)) for one in others],
        "figure_rows": _figure_rows(row, threshold, others),
        "label": None if label is None or label.id == row.id else label,
        "judge": judge if isinstance(judge, dict) else {},
    }


def _figure_rows(
    row: "Score", threshold: float, others: "Sequence[Score]"
) -> list[list[str | float | int | None]]:
    """The figures behind the charts of this score and of the target's other scores."""
    found = views.figure_rows([one for one in others if one.id != row.id])
    if row.number is not None:
        found.insert(0, [row.name, row.number, threshold])
    return found


def _threshold(row: "Score") -> float:
    """The threshold at the time of the score."""
    held = row.meta.get("threshold")
    return float(held) if isinstance(held, int | float) else views.threshold_of(row.name)


async def _trace(
    db: Reader, viewer: ProjectViewer, row: "Score"
) -> tuple[Trace | None, trace_titles.TraceTitle]:
    """The judged trace; None for a session and for a deleted trace."""
    if row.target_type is TargetType.SESSION:
        return None, trace_titles.TraceTitle(row.target_id, "")
    trace_id = UUID(row.target_id)
    loaded = await trace_loading.load(db, viewer.project.id, [trace_id])
    titles = await trace_titles.of_traces(db, viewer.project.id, [trace_id])
    return loaded.get(trace_id), titles.get(trace_id, views.GONE)


def _read(
    trace: Trace,
    finding_views: list[FindingView],
    parameters: ScoreAddress,
    name: str,
    judge: Mapping[str, Any],
) -> dict[str, Any]:
    """Runs in a thread, because preparing a large trace takes long and other requests must
    continue.
    """
    transcript = Transcript(trace)
    page = steps.of_trace(
        trace,
        transcript,
        finding_views,
        StepsChoice(
            parameters.first, parameters.step, parameters.only == "findings", parameters.finding
        ),
    )
    if parameters.view != "judge":
        return {"page": page}
    return {"page": page, "sent": judge_view.of_score(name, judge, transcript)}


async def _around(db: Reader, viewer: ProjectViewer, parameters: ScoreAddress) -> Neighbors | None:
    """The neighbors in the list from which the page was opened."""
    if parameters.offset is None:
        return None
    run = (
        None
        if parameters.run is None
        else await run_rows.find(db, viewer.project.id, parameters.run)
    )
    ids = await scores.blamed_ids(db, viewer, run, parameters)
    return await score_listing.neighbors(
        db, viewer.project.id, parameters.choice(ids), parameters.sort_by, parameters.offset
    )


_OWN: Final = {"finding", "only", "view", "first", "step", "offset"}


def _list_address(
    viewer: ProjectViewer, parameters: ScoreAddress, path: str | None, **more: int
) -> str:
    given = parameters.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_OWN)
    query = urlencode(given | more)
    address = viewer.at(path or "/scores")
    return f"{address}?{query}" if query else address


def _neighbor_addresses(
    viewer: ProjectViewer, parameters: ScoreAddress, around: Neighbors | None
) -> dict[str, str]:
    if around is None:
        return {}
    addresses: dict[str, str] = {}
    for name, score_id, by in (("previous", around.previous, -1), ("next", around.next, 1)):
        if score_id is not None:
            offset = around.position - 1 + by
            addresses[name] = _list_address(
                viewer, parameters, f"/scores/{score_id}", offset=offset
            )
    return addresses


def _sums(finding_views: list[FindingView]) -> list[tuple[str, int, int, float]]:
    """Per kind of finding: their number, the number in favor of the agent, and the sum of
    points.
    """
    kinds: dict[str, list[FindingView]] = {}
    for finding in finding_views:
        kinds.setdefault(finding.mark[0], []).append(finding)
    words = {
        finding.split(" ", 1)[0]: finding.split(" ", 1)[1]
        for finding in findings.legend(finding_views).split(", ")
        if finding
    }
    return [
        (
            words[letter],
            len(of_kind),
            sum(1 for finding in of_kind if finding.tone == "met"),
            sum(finding.points for finding in of_kind),
        )
        for letter, of_kind in kinds.items()
    ]


@router.post("/ui/{project}/scores/{score_id}/verdict")
async def verdict(request: Request, viewer: PageWriter, score_id: UUID) -> Response:
    """Stores a person's verdict on the score as an annotation of the same metric."""
    form = await request.form()
    answer = str(form.get("verdict", ""))
    own = str(form.get("value", "")).strip()
    async with viewer.stack.database.write() as db:
        row = await score_listing.get(db, viewer.project.id, score_id)
        if row.target_type is not TargetType.TRACE or row.number is None:
            raise Conflict("Only a numeric score of a trace can be confirmed or corrected.")
        value = own or _value_of(answer, row)
        annotation = annotations.of_person(
            row.name,
            value,
            str(form.get("note", "")),
            {
                "verdict": "own" if own else answer,
                "of_score": str(row.id),
                "metric_version": row.meta.get("metric_version"),
                "by": viewer.signed_in.key_name,
            },
        )
        await score_annotations.add_to_trace(db, viewer.project.id, UUID(row.target_id), annotation)
    back = str(form.get("back", ""))
    return rendering.redirect(viewer.at(f"/scores/{score_id}") + (f"?{back}" if back else ""))


def _value_of(answer: str, row: "Score") -> str:
    """The judge's value for agreement; the other end of the scale for disagreement."""
    if answer == "agree":
        return row.value or "0"
    return "0" if (row.number or 0.0) >= _threshold(row) else "1"
