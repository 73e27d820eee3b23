"""The page that lists the items behind a number of a comparison."""

from collections.abc import Sequence
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import Field

from activities.comparing import listing
from activities.comparing.listing import ItemKind
from activities.comparing.plan import ComparisonOptions, plan
from api.dashboard import compare_pairs, rendering, views
from api.dashboard.access import PageViewer, ProjectViewer
from api.dashboard.list_address import ListAddress
from api.schemas.comparisons import ChangedItem
from api.schemas.runs import EvalRunBody
from core.queries import run_rows
from core.safe_text import PlainText

router = APIRouter(include_in_schema=False)

_A_PAGE: Final = 25

KINDS: Final = {
    ItemKind.PAIRS: "All pairs",
    ItemKind.LOST: "Lost",
    ItemKind.TIED: "Tied",
    ItemKind.WON: "Won",
    ItemKind.TO_FAIL: "Pass to fail",
    ItemKind.TO_PASS: "Fail to pass",
    ItemKind.ONLY_BASELINE: "Only in A",
    ItemKind.ONLY_CANDIDATE: "Only in B",
    ItemKind.FAILED: "Failed",
    ItemKind.NOT_APPLICABLE: "Not applicable",
}


class PairingAddress(ListAddress):
    """Parameters of pages about two runs: the rule that pairs them, and the shown metric."""

    key: PlainText = ""
    margin: float = Field(0.02, ge=0, le=1)
    metric: PlainText = ""

    def options(self, a: UUID, b: UUID) -> ComparisonOptions:
        pair_by = self.key.strip() or None
        return ComparisonOptions(
            baseline=a, candidate=b, alpha=0.05, margin=self.margin, pair_by=pair_by
        )


class ItemListAddress(PairingAddress):
    """Parameters of the page: the two runs, and the kind of listed items."""

    a: UUID
    b: UUID
    o: ItemKind = ItemKind.PAIRS


@router.get("/ui/{project}/compare/items")
async def items(
    request: Request, viewer: PageViewer, parameters: Annotated[ItemListAddress, Query()]
) -> HTMLResponse:
    async with viewer.stack.database.read() as db:
        runs = [
            await run_rows.get(db, viewer.project.id, one) for one in (parameters.a, parameters.b)
        ]

    async def work() -> dict[str, Any]:
        return await _list_context(request, viewer, parameters)

    return await rendering.page_in_time(
        request,
        "compare_items.html",
        viewer,
        work,
        heading="Items of a comparison",
        section="runs",
        asked_for=parameters,
        names=[views.run_name(EvalRunBody.of(row)) for row in runs],
        kinds=KINDS,
    )


async def _list_context(
    request: Request, viewer: ProjectViewer, parameters: ItemListAddress
) -> dict[str, Any]:
    page = parameters.page(_A_PAGE)
    async with viewer.stack.database.read() as db:
        comparison_plan = await plan(
            db, viewer.project.id, parameters.options(parameters.a, parameters.b)
        )
    metric = (
        parameters.metric
        if parameters.metric in comparison_plan.metrics
        else comparison_plan.metrics[0]
    )
    listed = await listing.page_of(
        viewer.stack.database, comparison_plan, metric, parameters.o, page
    )
    changed = [ChangedItem.model_validate(one) for one in listed.items]
    async with viewer.stack.database.read() as db:
        rows = await compare_pairs.rows(db, viewer, changed)
    shown: Sequence[object] = rows or listed.keys
    return {
        "metric": metric,
        "metrics": comparison_plan.metrics,
        "pair_by": comparison_plan.key.rule,
        "threshold": comparison_plan.thresholds[metric],
        "rows": rows,
        "keys": listed.keys,
        "total": listed.total,
        "page": views.page_view(rendering.Addresses(request), page, len(shown), listed.total),
    }
