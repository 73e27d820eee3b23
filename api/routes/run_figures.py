"""Figures of runs, as on the dashboard."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query

from api import errors
from api.dependencies import CurrentStack, ReadProject
from api.runs import figures
from api.schemas.figures import (
    FailureBody,
    GroupBody,
    MetricFiguresBody,
    RunBlameBody,
    RunFiguresBody,
)
from core.ids import TargetType
from core.queries import run_blame, run_breakdown, run_figures
from core.queries.run_breakdown import Dimension
from core.safe_text import Label

_MAX_REASONS: Final = 50

Limit = Annotated[
    int, Query(ge=1, le=200, description="Maximum number of groups, the largest first.")
]


class FigureRoutes:
    """Figures of runs over one kind of target; groups and blame only for runs over traces."""

    def __init__(self, target_type: TargetType) -> None:
        self._target_type = target_type

    def add_to(self, router: APIRouter) -> None:
        noun = self._target_type.value.lower()
        router.add_api_route(
            "/{run_id}/figures",
            self.of_run,
            name=f"get_{noun}_run_figures",
            summary="Get the figures of a run",
            description=(
                "Per metric: the mean with its 95 % interval, the number of passed scores, and a "
                "histogram. Also the reasons of failed pairs."
            ),
            responses=errors.responses(404),
        )
        if self._target_type is TargetType.SESSION:
            return
        router.add_api_route(
            "/{run_id}/figures/groups",
            self.groups,
            name="get_trace_run_groups",
            summary="Get the means of a run by group of traces",
            description=(
                "Groups by tag, environment, release, user or number of spans. A trace with "
                "several tags counts in each group."
            ),
            responses=errors.responses(404),
        )
        router.add_api_route(
            "/{run_id}/figures/blame",
            self.blame,
            name="get_trace_run_blame",
            summary="Get the tools that findings of a run blame",
            description="Tools and answers of the model, by number of findings against the agent.",
            responses=errors.responses(404),
        )

    async def of_run(
        self, run_id: UUID, project: ReadProject, stack: CurrentStack
    ) -> RunFiguresBody:
        run = await stack.rows.get(project, run_id, self._target_type)
        of_run = await figures.of_run(stack, project, run)
        async with stack.database.read() as db:
            failures = await run_figures.failures(db, project, run, limit=_MAX_REASONS)
        return RunFiguresBody(
            metrics=[MetricFiguresBody.of_metric(one) for one in of_run],
            failures=[FailureBody.of(one) for one in failures],
        )

    async def groups(
        self,
        run_id: UUID,
        project: ReadProject,
        stack: CurrentStack,
        by: Dimension = Dimension.TAG,
        limit: Limit = 50,
    ) -> list[GroupBody]:
        run = await stack.rows.get(project, run_id, self._target_type)
        async with stack.database.read() as db:
            groups = await run_breakdown.by(db, project, run, by, limit=limit)
        return [GroupBody.of(group) for group in groups]

    async def blame(
        self,
        run_id: UUID,
        project: ReadProject,
        stack: CurrentStack,
        metric_name: Annotated[
            Label | None, Query(description="Only findings by this metric.")
        ] = None,
        limit: Limit = 50,
    ) -> RunBlameBody:
        run = await stack.rows.get(project, run_id, self._target_type)
        async with stack.database.read() as db:
            found = await run_blame.of_run(db, project, run, metric_name)
        return RunBlameBody.of(found, limit)
