"""What every request that opens a run goes through, whatever the run is over."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends, Request
from pydantic import JsonValue

from api import judges, opening
from api.dependencies import CurrentStack, IdempotencyKey, Stack, WriteProject
from api.models.run_requests import RunBody
from api.opening import Answer
from core.database import Reader, Writer
from core.errors import Invalid
from core.ids import ProjectId, RunId, TargetType
from core.queries import idempotency, pairs, runs
from core.queries.runs import NewRun
from core.tables import EvalRun

_SHOWN_IDS = 10


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run as a client asks for it. `check` raises Invalid where it has nothing to judge."""

    body: RunBody
    target_type: TargetType
    check: Callable[[Reader, ProjectId], Awaitable[None]]
    filters: dict[str, Any] = field(default_factory=dict)
    sampling_rate: float = 1.0


@dataclass(frozen=True, slots=True)
class RunOpener:
    """One request, about to open a run."""

    stack: Stack
    project: ProjectId
    path: str
    idempotency_key: str | None

    async def create(self, wanted: Wanted) -> Answer:
        body = wanted.body
        request = self._request(body.model_dump(mode="json"))
        earlier = await opening.replay(self.stack, request)
        if earlier is not None:
            return earlier
        async with self.stack.database.read() as db:
            model = await judges.chosen(
                self.stack, db, wanted.target_type, (body.model, body.metrics)
            )
            await wanted.check(db, self.project)
        new = NewRun(
            id=RunId(uuid4()),
            project_id=self.project,
            target_type=wanted.target_type,
            name=body.name,
            metric_names=body.metrics,
            filters=wanted.filters,
            sampling_rate=wanted.sampling_rate,
            model=model,
            fresh=body.fresh,
        )

        async def create(db: Writer) -> EvalRun:
            return await runs.create(db, new)

        return await opening.open_run(self.stack, create, request)

    async def retry(self, target_type: TargetType, run_id: UUID) -> Answer:
        request = self._request(None)
        earlier = await opening.replay(self.stack, request)
        if earlier is not None:
            return earlier
        async with self.stack.database.read() as db:
            old = await runs.get(db, self.project, run_id, target_type)
            await judges.check(db, target_type, old.model, old.metric_names)

        async def create(db: Writer) -> EvalRun:
            return await pairs.create_retry(db, self.project, run_id)

        return await opening.open_run(self.stack, create, request)

    def _request(self, body: JsonValue) -> idempotency.Request | None:
        return opening.request_of(self.project, self.idempotency_key, path=self.path, body=body)


def _opener(
    stack: CurrentStack,
    project: WriteProject,
    http: Request,
    idempotency_key: IdempotencyKey = None,
) -> RunOpener:
    return RunOpener(stack, project, http.url.path, idempotency_key)


Opener = Annotated[RunOpener, Depends(_opener)]


def refuse_unknown(noun: str, ids: Sequence[object]) -> None:
    """Raises Invalid where there are any."""
    if ids:
        shown = ", ".join(str(id) for id in ids[:_SHOWN_IDS])
        more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
        raise Invalid(f"This project has no {noun}s {shown}{more}; nothing was started.")
