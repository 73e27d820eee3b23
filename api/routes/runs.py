"""What can be done with a run once it is there, whatever it is over."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from api import errors, events, progress
from api.creating import Opener
from api.dependencies import CurrentStack, ReadProject, Stack, WriteProject
from api.models.pages import PageOf, PageQuery
from api.models.runs import EvalRunBody
from api.models.scores import SessionScoreBody, TraceScoreBody, score_body
from api.opening import Answer
from core.errors import Unavailable
from core.ids import ProjectId, RunStatus, TargetType
from core.queries import runs, scores
from core.tables import EvalRun
from core.text import PlainText

_SCORES_A_READ = 500
_SCORE_LISTS: dict[TargetType, Any] = {
    TargetType.TRACE: list[TraceScoreBody],
    TargetType.SESSION: list[SessionScoreBody],
}


class RunListQuery(PageQuery):
    status: RunStatus | None = Field(
        None, description="As last recorded: a run just begun may still count as PENDING."
    )


class RunRoutes:
    """The endpoints of runs over one kind of target."""

    def __init__(self, target_type: TargetType) -> None:
        self._target_type = target_type
        self._noun = target_type.value.lower()

    def add_to(self, router: APIRouter) -> None:
        """To be called last: a run's id would be taken for any other path."""
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
            summary="How a run stands",
            responses=errors.responses(404),
        )
        router.add_api_route(
            "/{run_id}/events",
            self.follow,
            name=f"follow_{noun}_run",
            summary="Follow a run",
            description="Server-sent events: `progress`, with the run as data, at each change and "
            "at most five times a second; then one `done`, and the end. With the `Last-Event-ID` "
            "of the last event seen, what has not changed since is not sent again.",
            response_class=StreamingResponse,
            responses=errors.responses(404) | _EVENT_STREAM,
        )
        router.add_api_route(
            "/{run_id}/scores",
            self.scores,
            name=f"get_{noun}_run_scores",
            summary="The scores of a run",
            description=f"Every pair of {noun} and metric once, as far as it is judged.",
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
            summary="Stop a run",
            description="Judging stops within seconds; scores so far stay; the run ends FAILED.",
            responses=errors.responses(404, 409),
        )
        router.add_api_route(
            "/{run_id}/retry",
            self.retry,
            methods=["POST"],
            status_code=202,
            name=f"retry_{noun}_run",
            summary="Judge again what failed",
            description=f"A new run over exactly the pairs of {noun} and metric that did not "
            "succeed.",
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
            description="One under way is cancelled first. Its scores stay, unless they are to go "
            "too.",
            responses=errors.responses(404),
        )

    async def page(
        self,
        query: Annotated[RunListQuery, Query()],
        project: ReadProject,
        stack: CurrentStack,
    ) -> PageOf[EvalRunBody]:
        async with stack.database.read() as db:
            found, total = await runs.page(
                db, project, self._target_type, status=query.status, page=query.page
            )
        items = await progress.live_all(stack, found)
        return PageOf(items=items, total=total, limit=query.limit, offset=query.offset)

    async def get(self, run_id: UUID, project: ReadProject, stack: CurrentStack) -> EvalRunBody:
        return await progress.live(stack, await self._find(stack, project, run_id))

    async def follow(
        self,
        run_id: UUID,
        project: ReadProject,
        stack: CurrentStack,
        last_event_id: Annotated[PlainText | None, Header(alias="Last-Event-ID")] = None,
    ) -> StreamingResponse:
        row = await self._find(stack, project, run_id)
        return StreamingResponse(
            events.of_run(stack, row, last_seen=last_event_id),
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
        async with stack.database.write() as db:
            row = await runs.request_cancel(db, project, run_id)
        await _cancel_workflow(stack, run_id)
        return await progress.live(stack, row)

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
        async with stack.database.write() as db:
            row = await runs.lock(db, project, run_id)
            was_under_way = not row.status.terminal
            await runs.remove(db, project, run_id, delete_scores=delete_scores)
        if was_under_way:
            await _cancel_workflow(stack, run_id)

    async def _check_cancellable(self, stack: Stack, project: ProjectId, run_id: UUID) -> None:
        """Raises NotFound, and Unavailable for a run under way: then nothing was written."""
        row = await self._find(stack, project, run_id)
        if not row.status.terminal:
            await stack.runs.check_reachable()

    async def _find(self, stack: Stack, project: ProjectId, run_id: UUID) -> EvalRun:
        """Raises NotFound, also for a run over the other kind of target."""
        return await stack.rows.get(project, run_id, self._target_type)


_EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "Events until the run is over."}
}


async def _cancel_workflow(stack: Stack, run_id: UUID) -> None:
    """The row decides: once it is gone or marked, no worker judges on. This only tells sooner."""
    with contextlib.suppress(Unavailable):
        await stack.runs.cancel(run_id)


async def _scores(stack: Stack, project: ProjectId, run: EvalRun) -> AsyncIterator[str]:
    """A JSON array, a few hundred elements at a time: no run is too large to be read."""
    after: tuple[str, str] | None = None
    separator = "["
    while True:
        async with stack.database.read() as db:
            rows = await scores.of_run(db, project, run, after=after, limit=_SCORES_A_READ)
        if not rows:
            break
        yield separator + ",".join(score_body(row).model_dump_json() for row in rows)
        separator = ","
        after = (rows[-1].target_id, rows[-1].name)
    yield "[]" if after is None else "]"
