"""The page that compares run B with run A."""

from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import Field

from activities.comparing.listing import ItemKind
from activities.comparing.plan import MAX_AT_ONCE, ComparisonOptions, Plan, plan
from api.dashboard import compare_pairs, compare_view, rendering, run_rows_view, views
from api.dashboard.access import PageViewer, PageWriter, ProjectViewer
from api.dashboard.compare_list import KINDS, PairingAddress
from api.dashboard.compare_pairs import ChangedRow
from api.dashboard.compare_view import VERDICTS
from api.dashboard.rendering import Addresses
from api.runs import comparing
from api.runs.comparison_report import markdown
from api.schemas.comparisons import ChangedItem, ComparisonBody, MetricComparison
from api.schemas.runs import EvalRunBody
from core.errors import Invalid
from core.ids import RunStatus
from core.queries import comparison_rows, run_listing, run_rows
from core.queries.run_listing import RunFilters
from core.safe_text import PlainText

if TYPE_CHECKING:
    from core.db.tables import Comparison, EvalRun

router = APIRouter(include_in_schema=False)

_A_PAGE: Final = 25
_ENDED: Final = (RunStatus.COMPLETED, RunStatus.FAILED)
_LEFT: Final = (
    *(ItemKind.ONLY_BASELINE, ItemKind.ONLY_CANDIDATE),
    *(ItemKind.FAILED, ItemKind.NOT_APPLICABLE),
)
"""The reasons why items are unpaired."""


class CompareAddress(PairingAddress):
    """Parameters of the page.

    `run`: the selected runs of a list, two of which become a and b. `o`: lost, won or flip. `pair`:
    the key of the shown pair. `sa` and `sb`: its scores, for a pair that is not in the list of the
    largest changes. `format`: the format of a download.
    """

    a: UUID | None = None
    b: UUID | None = None
    run: list[UUID] = Field(default_factory=list, max_length=200)
    pair: PlainText = ""
    sa: UUID | None = None
    sb: UUID | None = None
    o: PlainText = "lost"
    format: PlainText = ""


@router.get("/ui/{project}/compare")
async def compare(
    request: Request, viewer: PageViewer, parameters: Annotated[CompareAddress, Query()]
) -> Response:
    if parameters.run:
        return await _chosen(viewer, parameters.run)
    if parameters.a is None or parameters.b is None:
        return await _choice(request, viewer, parameters)
    async with viewer.stack.database.read() as db:
        runs = [
            await run_rows.get(db, viewer.project.id, one) for one in (parameters.a, parameters.b)
        ]
    pairing = parameters.options(parameters.a, parameters.b)
    if parameters.format in ("md", "json"):
        async with viewer.stack.database.read() as db:
            comparison_plan = await plan(db, viewer.project.id, pairing)
        comparison = await _result(viewer, comparison_plan)
        if comparison is not None and comparison.status.terminal:
            return _file(comparison, parameters.format)

    async def work() -> dict[str, Any]:
        return _base(request, parameters, runs) | await _compared(viewer, parameters, pairing)

    return await rendering.page_in_time(
        request, "compare.html", viewer, work, heading="Compare", section="runs"
    )


async def _compared(
    viewer: ProjectViewer, parameters: CompareAddress, pairing: ComparisonOptions
) -> dict[str, Any]:
    """The values of the page besides the runs: the result, or the reason why there is none yet."""
    async with viewer.stack.database.read() as db:
        try:
            comparison_plan = await plan(db, viewer.project.id, pairing)
        except Invalid as error:
            return {"problem": error.message}
    comparison = await _result(viewer, comparison_plan)
    if comparison is None:
        return {
            "waiting": comparison_plan.pairs,
            "failure": await _failure(viewer, comparison_plan),
        }
    if not comparison.status.terminal:
        return {"waiting": comparison_plan.pairs, "begun": True}
    return await _shown(viewer, parameters, comparison_plan, comparison)


async def _result(viewer: ProjectViewer, comparison_plan: Plan) -> ComparisonBody | None:
    row = await _stored(viewer, comparison_plan)
    if row is None:
        return None
    await comparing.start_again(viewer.stack, row)
    async with viewer.stack.database.read() as db:
        [comparison] = await comparing.bodies(db, viewer.project.id, [row])
    return comparison


async def _stored(viewer: ProjectViewer, comparison_plan: Plan) -> "Comparison | None":
    """The comparison with these settings. Computes and stores a small comparison.

    None for a large comparison, which a button starts.
    """
    runs = (comparison_plan.runs[0].id, comparison_plan.runs[1].id)
    async with viewer.stack.database.read() as db:
        row = await comparison_rows.find(db, viewer.project.id, runs, comparison_plan.settings)
    if row is None and comparison_plan.pairs <= MAX_AT_ONCE:
        row = await comparing.compute(viewer.stack, comparison_plan)
    return row


async def _failure(viewer: ProjectViewer, comparison_plan: Plan) -> str | None:
    """The reason why the newest comparison with these settings failed."""
    runs = (comparison_plan.runs[0].id, comparison_plan.runs[1].id)
    async with viewer.stack.database.read() as db:
        row = await comparison_rows.find(
            db, viewer.project.id, runs, comparison_plan.settings, failed=True
        )
    return None if row is None else row.error_message


@router.post("/ui/{project}/compare")
async def start(
    request: Request, viewer: PageWriter, parameters: Annotated[CompareAddress, Query()]
) -> Response:
    """Starts a comparison with too many pairs for a page."""
    if parameters.a is None or parameters.b is None:
        raise Invalid("Choose two runs.")
    async with viewer.stack.database.read() as db:
        comparison_plan = await plan(
            db, viewer.project.id, parameters.options(parameters.a, parameters.b)
        )
        runs = (parameters.a, parameters.b)
        row = await comparison_rows.find(db, viewer.project.id, runs, comparison_plan.settings)
    if row is None:
        await comparing.start(viewer.stack, comparison_plan)
    return rendering.redirect(Addresses(request)())


async def _chosen(viewer: ProjectViewer, ticked: list[UUID]) -> Response:
    """The two selected runs, the older one as A; a single run is A."""
    chosen = list(dict.fromkeys(ticked))
    if len(chosen) > 2:
        raise Invalid(f"Select two runs to compare, not {len(chosen)}.")
    async with viewer.stack.database.read() as db:
        runs = [await run_rows.get(db, viewer.project.id, one) for one in chosen]
    runs.sort(key=lambda row: row.created_at)
    query = rendering.query(**dict(zip("ab", (row.id for row in runs), strict=False)))
    return rendering.redirect(viewer.at(f"/compare{query}"))


async def _choice(
    request: Request, viewer: ProjectViewer, parameters: CompareAddress
) -> HTMLResponse:
    """The runs to choose from: any run as A, then runs that can be compared with A."""
    known = parameters.a or parameters.b
    page = parameters.page(_A_PAGE)
    async with viewer.stack.database.read() as db:
        other = None if known is None else await run_rows.get(db, viewer.project.id, known)
        target_type = None if other is None else other.target_type
        filters = RunFilters(statuses=_ENDED, target_type=target_type)
        candidates, total = await run_listing.page(db, viewer.project.id, filters, page)
    at = Addresses(request)
    rows = await run_rows_view.rows(viewer, [row for row in candidates if row.id != known])
    return rendering.page(
        request,
        "compare_choice.html",
        viewer,
        section="runs",
        asked_for=parameters,
        other=None if other is None else EvalRunBody.of(other),
        other_name="" if other is None else views.run_name(EvalRunBody.of(other)),
        missing="b" if parameters.a else "a",
        rows=rows,
        columns=views.metric_columns([row.run for row in rows]),
        shared=set(() if other is None else other.metric_names),
        page=views.page_view(at, page, len(candidates), total),
        short_metric=views.short_metric,
    )


def _base(request: Request, parameters: CompareAddress, runs: "list[EvalRun]") -> dict[str, Any]:
    """The values of a page without a result.

    `problem` is the reason against the comparison; `waiting` is the number of pairs of a comparison
    without a result.
    """
    bodies = [EvalRunBody.of(row) for row in runs]
    at = Addresses(request)
    return {
        "asked_for": parameters,
        "runs": bodies,
        "names": [views.run_name(body) for body in bodies],
        "swapped": at(a=parameters.b, b=parameters.a),
        "key": parameters.key,
        "problem": "",
        "waiting": 0,
        "begun": False,
        "failure": None,
        "found": None,
    }


def _file(comparison: ComparisonBody, form: str) -> Response:
    text = markdown(comparison) if form == "md" else comparison.model_dump_json()
    kind = "text/markdown; charset=utf-8" if form == "md" else "application/json"
    disposition = f'attachment; filename="comparison-{comparison.id}.{form}"'
    return Response(text, media_type=kind, headers={"Content-Disposition": disposition})


async def _shown(
    viewer: ProjectViewer,
    parameters: CompareAddress,
    comparison_plan: Plan,
    comparison: ComparisonBody,
) -> dict[str, Any]:
    rows, axis = compare_view.rows(comparison)
    chosen = next(
        (one.metric for one in rows if one.metric.metric == parameters.metric),
        compare_view.most_telling(comparison),
    )
    order = parameters.o if parameters.o in compare_pairs.ORDERS else "lost"
    items = compare_pairs.changed(chosen, order)
    place = next((n for n, one in enumerate(items) if one.key == parameters.pair), None)
    async with viewer.stack.database.read() as db:
        changed = await compare_pairs.rows(db, viewer, items)
        shown = changed[place or 0] if changed else None
        if place is None and parameters.sa is not None and parameters.sb is not None:
            shown = await compare_pairs.of_scores(
                db, viewer, parameters.pair, parameters.sa, parameters.sb
            )
        sides = None
        if shown is not None:
            threshold = comparison_plan.thresholds[chosen.metric]
            sides = await compare_pairs.side_by_side(db, viewer, shown.item, threshold)
    run_ids = (comparison.baseline, comparison.candidate)
    return {
        "found": comparison,
        "key": comparison.pair_by,
        "sentences": compare_view.lead(comparison),
        "rows": rows,
        "axis": axis,
        "chosen": chosen,
        "threshold": comparison_plan.thresholds[chosen.metric],
        "order": order,
        "orders": compare_pairs.ORDERS,
        "changed": changed,
        "of_changed": compare_pairs.total(chosen, order),
        "sides": sides,
        "chosen_pair": shown,
        "neighbors": _neighbors(items, place, shown),
        "left_words": {kind.value: KINDS[kind].lower() for kind in _LEFT},
        "lists": _lists(viewer, parameters),
        "blamed": _blamed(chosen, run_ids),
        "verdicts": VERDICTS,
    }


def _neighbors(
    items: list[ChangedItem], place: int | None, shown: ChangedRow | None
) -> dict[str, str]:
    """The keys of the pairs before and after the shown pair, if the list has the shown pair."""
    at = place if place is not None else 0 if items and shown and shown.item == items[0] else None
    if at is None:
        return {}
    around = (("previous", at - 1), ("next", at + 1))
    return {name: items[n].key for name, n in around if 0 <= n < len(items)}


def _lists(viewer: ProjectViewer, parameters: CompareAddress) -> dict[str, str]:
    """The addresses of the lists behind the numbers, by kind; a metric may be appended."""
    same = {
        "a": parameters.a,
        "b": parameters.b,
        "key": parameters.key or None,
        "margin": parameters.margin,
    }
    return {
        kind.value: viewer.at(f"/compare/items{rendering.query(**same, o=kind.value)}")
        for kind in ItemKind
    }


def _blamed(metric: MetricComparison, runs: tuple[UUID, UUID]) -> dict[str, Any] | None:
    blame = metric.blame
    if blame is None or not (blame.steps or blame.kinds):
        return None
    return {
        "steps": compare_view.blame_rows(blame.steps, runs, metric.metric, "blame"),
        "kinds": compare_view.blame_rows(blame.kinds, runs, metric.metric, "kind"),
        "complete": blame.complete,
        "baseline": blame.baseline_scores,
        "candidate": blame.candidate_scores,
    }
