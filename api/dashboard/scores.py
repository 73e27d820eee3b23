"""The list of scores behind a number on another page."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from api.dashboard import findings, rendering, views
from api.dashboard.access import PageViewer, ProjectViewer
from api.dashboard.findings import FindingCount
from api.dashboard.score_address import ScoreListAddress
from api.schemas.runs import EvalRunBody
from core.db.database import Reader
from core.ids import TargetType
from core.queries import run_blame, run_rows, score_listing, trace_titles
from core.queries.number_sums import NumberSums
from core.queries.score_listing import ScoreState

if TYPE_CHECKING:
    from core.db.tables import EvalRun, Score

router = APIRouter(include_in_schema=False)

_A_PAGE: Final = 50
MAX_SUMMED: Final = 5_000
"""The mean of a longer list is loaded later, because its sum takes longer than one page."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    score: "Score"
    title: str
    name: str
    cell: views.Cell
    against: list[FindingCount]
    address: str
    by_people: views.Cell | None
    by_people_id: UUID | None


@router.get("/ui/{project}/scores")
async def scores(
    request: Request, viewer: PageViewer, parameters: Annotated[ScoreListAddress, Query()]
) -> HTMLResponse:
    async def work() -> dict[str, Any]:
        return await _list_context(request, viewer, parameters)

    return await rendering.page_in_time(
        request,
        "scores.html",
        viewer,
        work,
        heading="Scores",
        section="runs" if parameters.run else "",
        asked_for=parameters,
        metrics=views.metric_names(),
        states=[state.value for state in ScoreState],
        kept=_other_parameters(request),
    )


async def _list_context(
    request: Request, viewer: ProjectViewer, parameters: ScoreListAddress
) -> dict[str, Any]:
    project, page = viewer.project.id, parameters.page(_A_PAGE)
    async with viewer.stack.database.read() as db:
        run = None if parameters.run is None else await run_rows.find(db, project, parameters.run)
        ids = await blamed_ids(db, viewer, run, parameters)
        choice = parameters.choice(ids)
        found, total = await score_listing.page(db, project, choice, page, parameters.sort_by)
        totals = await score_listing.totals(db, project, choice) if total <= MAX_SUMMED else None
        people = await score_listing.by_people(db, project, found)
        titles = await titles_of(db, viewer, found, parameters.target_type)
    body = None if run is None else EvalRunBody.of(run)
    at = rendering.Addresses(request)
    run_name = views.run_name(body) if body else str(parameters.run)
    return {
        "run": body,
        "run_name": run_name,
        "rows": [
            _row(
                score,
                _address(viewer, score, parameters, place),
                titles.get(score.target_id, ("deleted", "")),
                people.get((score.target_id, score.name)),
            )
            for place, score in enumerate(found, parameters.offset)
        ],
        "page": views.page_view(at, page, len(found), total),
        "totals": totals,
        "total": total,
        "chips": parameters.chips(at, run_name),
    }


@router.get("/ui/{project}/scores/sums")
async def sums(
    request: Request, viewer: PageViewer, parameters: Annotated[ScoreListAddress, Query()]
) -> HTMLResponse:
    """The mean of a long list, with its interval."""

    async def work() -> NumberSums:
        async with viewer.stack.database.read() as db:
            project = viewer.project.id
            run = (
                None if parameters.run is None else await run_rows.find(db, project, parameters.run)
            )
            ids = await blamed_ids(db, viewer, run, parameters)
            return await score_listing.sums(db, project, parameters.choice(ids))

    key = ("sums", viewer.project.id, request.url.query)
    found = await viewer.stack.slow_parts.whole(key, work)
    return rendering.page(request, "scores_sums.html", viewer, sums=found)


def _other_parameters(request: Request) -> list[tuple[str, str]]:
    """The parameters without a field in the page's form."""
    own = ("metric", "state", "q", "offset")
    return [(name, value) for name, value in request.query_params.multi_items() if name not in own]


def _address(
    viewer: ProjectViewer, score: "Score", parameters: ScoreListAddress, place: int
) -> str:
    """The address of the score's page, with the list and the position in it."""
    given = parameters.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return viewer.at(f"/scores/{score.id}?{urlencode(given | {'offset': place})}")


def _row(score: "Score", address: str, title: tuple[str, str], newest: "Score | None") -> ScoreRow:
    threshold = views.threshold_of(score.name)
    label = None if newest is None or newest.id == score.id else newest
    return ScoreRow(
        score=score,
        title=title[0],
        name=title[1],
        cell=views.score_cell(score, threshold),
        against=findings.counts_against(score),
        address=address,
        by_people=None if label is None else views.score_cell(label, threshold),
        by_people_id=None if label is None else label.id,
    )


async def titles_of(
    db: Reader, viewer: ProjectViewer, rows: "list[Score]", target_type: TargetType
) -> dict[str, tuple[str, str]]:
    """The titles of targets in a list: the beginning of the input, and the name."""
    if target_type is TargetType.SESSION:
        return {score.target_id: (score.target_id, "") for score in rows}
    ids = list({UUID(score.target_id) for score in rows})
    titles = await trace_titles.of_traces(db, viewer.project.id, ids)
    return {
        str(trace_id): (title.opening or title.name, title.name)
        for trace_id, title in titles.items()
    }


async def blamed_ids(
    db: Reader, viewer: ProjectViewer, run: "EvalRun | None", parameters: ScoreListAddress
) -> tuple[UUID, ...] | None:
    """The scores whose findings name the requested step, or are of the requested kind.

    None without such a request.
    """
    if run is None:
        return None
    project, metric = viewer.project.id, parameters.metric or None
    if parameters.kind:
        return await run_blame.scores_of_kind(db, project, run, metric, parameters.kind)
    if not parameters.blame:
        return None
    return (await run_blame.of_run(db, project, run, metric)).scores_of(parameters.blame)
