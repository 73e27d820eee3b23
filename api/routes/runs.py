"""The endpoints of runs, the same for runs over traces and over sessions."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from api import errors
from api.dependencies import AppState, CurrentAccess, CurrentStack, ReadProject, WriteProject
from api.runs import progress, resuming, sse
from api.runs.run_opener import Answer, Opener
from api.schemas.pages import PageOf, PageQuery
from api.schemas.run_requests import ResumeBody
from api.schemas.runs import EvalRunBody
from api.schemas.scores import SessionScoreBody, TraceScoreBody, score_body
from core.db.database import Reader
from core.errors import Unavailable
from core.ids import ProjectId, RunStatus, TargetType
from core.queries import run_pending, run_rows, score_reads
from core.run_ending import ending
from core.safe_text import Label

if TYPE_CHECKING:
    from core.db.tables import EvalRun, Score

SCORES_PER_READ: Final = 500
_SCORE_LISTS: dict[TargetType, Any] = {
    TargetType.TRACE: list[TraceScoreBody],
    TargetType.SESSION: list[SessionScoreBody],
}


class RunListQuery(PageQuery):
    status: RunStatus | None = Field(
        None, description="Recorded status. A run that has just begun may still be PENDING."
    )
    paused: bool | None = Field(
        None, description="True: runs that wait at a budget. False: all other runs."
    )


class RunRoutes:
    """The endpoints of runs over one kind of target."""

    def __init__(self, target_type: TargetType) -> None:
        self._target_type = target_type
        self._noun = target_type.value.lower()

    def add_to(self, router: APIRouter) -> None:
        """Call this last, because the path of a run's id matches any other path."""
        self._add_reads(router)
        self._add_changes(router)

    def _add_reads(self, router: APIRouter) -> None:
        noun = self._noun
        router.add_api_route(
            "",
            self.page,
            name=f"list_{noun}_runs",
            summary="List runs, newest first",
            responses=errors.responses(),
        )
        router.add_api_route(
            "/{run_id}",
            self.get,
            name=f"get_{noun}_run",
            summary="Get a run",
            responses=errors.responses(404),
        )
        router.add_api_route(
            "/{run_id}/events",
            self.follow,
            name=f"follow_{noun}_run",
            summary="Follow a run",
            description=(
                "Server-sent events: `progress`, with the run as data, at each change and at most "
                "five times per second; at the end one `done`. With the `Last-Event-ID` of the "
                "last event seen, an unchanged state is not sent again."
            ),
            response_class=StreamingResponse,
            responses=errors.responses(404) | _EVENT_STREAM,
        )
        router.add_api_route(
            "/{run_id}/scores",
            self.scores,
            name=f"get_{noun}_run_scores",
            summary="List the scores of a run",
            description=f"Every pair of {noun} and metric once. While the run is open, its open "
            "pairs are PENDING, with a null value.",
            response_model=_SCORE_LISTS[self._target_type],
            responses=errors.responses(404),
        )

    def _add_changes(self, router: APIRouter) -> None:
        noun = self._noun
        router.add_api_route(
            "/{run_id}/cancel",
            self.cancel,
            methods=["POST"],
            status_code=202,
            name=f"cancel_{noun}_run",
            summary="Cancel a run",
            description="Judging stops within seconds. Scores so far stay. The run ends FAILED.",
            responses=errors.responses(404, 409),
        )
        router.add_api_route(
            "/{run_id}/resume",
            self.resume,
            methods=["POST"],
            status_code=202,
            name=f"resume_{noun}_run",
            summary="Resume a paused run",
            description="A run that is paused at its own budget needs a higher budget. A run that "
            "is paused at the budget of its project continues if that budget has "
            "room. The request can also raise the budget of a run that is not paused.",
            responses=errors.responses(404, 409, 413, 415),
        )
        router.add_api_route(
            "/{run_id}/retry",
            self.retry,
            methods=["POST"],
            status_code=202,
            name=f"retry_{noun}_run",
            summary="Retry the failed pairs of a run",
            description=f"Creates a run over exactly the pairs of {noun} and metric that did "
            "not succeed.",
            responses=errors.responses(404, 409),
            response_model=EvalRunBody,
        )
        router.add_api_route(
            "/{run_id}",
            self.delete,
            methods=["DELETE"],
            status_code=204,
            name=f"delete_{noun}_run",
            summary="Delete a run",
            description="Cancels an open run first. Scores stay unless `delete_scores` is true.",
            responses=errors.responses(404),
        )

    async def page(
        self,
        query: Annotated[RunListQuery, Query()],
        project: ReadProject,
        stack: CurrentStack,
    ) -> PageOf[EvalRunBody]:
        async with stack.database.read() as db:
            found, total = await run_rows.page(
                db,
                project,
                self._target_type,
                status=query.status,
                paused=query.paused,
                page=query.page,
            )
        items = await progress.live_all(stack, found)
        return PageOf.of(query, items, total)

    async def get(self, run_id: UUID, project: ReadProject, stack: CurrentStack) -> EvalRunBody:
        row = await self._find(stack, project, run_id)
        return await progress.in_full(stack, row, await progress.live(stack, row))

    async def follow(
        self,
        run_id: UUID,
        project: ReadProject,
        stack: CurrentStack,
        access: CurrentAccess,
        last_event_id: Annotated[Label | None, Header(alias="Last-Event-ID")] = None,
    ) -> StreamingResponse:
        row = await self._find(stack, project, run_id)
        stack.streams.check(project)
        return StreamingResponse(
            sse.of_run(stack, access, row, last_seen=last_event_id),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    async def scores(
        self, run_id: UUID, project: ReadProject, stack: CurrentStack
    ) -> StreamingResponse:
        row = await self._find(stack, project, run_id)
        return StreamingResponse(_scores(stack, project, row), media_type="application/json")

    async def cancel(self, run_id: UUID, project: WriteProject, stack: CurrentStack) -> EvalRunBody:
        await self._check_cancellable(stack, project, run_id)
        async with ending(stack.database, project, run_id) as db:
            row = await run_rows.request_cancel(db, project, run_id)
        await _cancel_workflow(stack, run_id)
        return await progress.live(stack, row)

    async def resume(
        self, run_id: UUID, body: ResumeBody, project: WriteProject, stack: CurrentStack
    ) -> EvalRunBody:
        await self._find(stack, project, run_id)
        return await progress.live(stack, await resuming.resume(stack, project, run_id, body))

    async def retry(self, run_id: UUID, opener: Opener) -> Answer:
        return await opener.retry(self._target_type, run_id)

    async def delete(
        self,
        run_id: UUID,
        project: WriteProject,
        stack: CurrentStack,
        delete_scores: bool = False,
    ) -> None:
        await self._check_cancellable(stack, project, run_id)
        async with ending(stack.database, project, run_id) as db:
            row = await run_rows.lock(db, project, run_id)
            was_under_way = not row.status.terminal
            await run_rows.remove(db, project, run_id, delete_scores=delete_scores)
        if was_under_way:
            await _cancel_workflow(stack, run_id)

    async def _check_cancellable(self, stack: AppState, project: ProjectId, run_id: UUID) -> None:
        """Raises NotFound, and Unavailable for an open run while Temporal is unavailable; then
        nothing was written.
        """
        row = await self._find(stack, project, run_id)
        if not row.status.terminal:
            await stack.runs.check_reachable()

    async def _find(self, stack: AppState, project: ProjectId, run_id: UUID) -> "EvalRun":
        """Raises NotFound, also for a run over another kind of target."""
        return await stack.rows.get(project, run_id, self._target_type)


_EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {}},
        "description": "Yields events until the run is over.",
    }
}


async def _cancel_workflow(stack: AppState, run_id: UUID) -> None:
    """Cancels the workflow, so that workers stop sooner.

    Without this, the marked or deleted row would stop them a little later.
    """
    with contextlib.suppress(Unavailable):
        await stack.runs.cancel(run_id)


async def _scores(stack: AppState, project: ProjectId, run: "EvalRun") -> AsyncIterator[str]:
    """Streams a JSON array, a few hundred elements at a time, for a run of any size.

    Reads one snapshot, so that each pair appears once: with its score, or as PENDING.
    """
    separator = "["
    async with stack.database.read() as db:
        async for rows in _rows(db, project, run):
            yield separator + ",".join(score_body(row).model_dump_json() for row in rows)
            separator = ","
    yield "[]" if separator == "[" else "]"


async def _rows(db: Reader, project: ProjectId, run: "EvalRun") -> "AsyncIterator[Sequence[Score]]":
    after: tuple[str, str] | None = None
    while rows := await score_reads.of_run(db, project, run, after=after, limit=SCORES_PER_READ):
        yield rows
        after = (rows[-1].target_id, rows[-1].name)
    if run.status.terminal:
        return
    targets = max(1, SCORES_PER_READ // len(run.metric_names))
    first = 0
    while (
        pending := await run_pending.page(db, project, run, first=first, limit=targets)
    ) is not None:
        if pending:
            yield pending
        first += targets
