"""Opens a run: one row and one workflow, or neither."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends, Request
from pydantic import JsonValue
from starlette.types import Scope

from activities import budget_check
from activities.open_pairs import of_new_runs
from api.dependencies import AppState, CurrentStack, IdempotencyKey, WriteProject
from api.http import audit_trail
from api.runs import budget_view, model_choice, progress
from api.runs.run_creation import CreateRow, KeyTaken, Opened
from api.schemas.run_requests import RunBody
from api.schemas.runs import EvalRunBody
from core.db.database import Reader
from core.errors import Invalid, Unavailable
from core.ids import ProjectId, TargetType
from core.queries import run_idempotency, run_names, run_retry, run_rows
from core.queries.audit import Action
from core.queries.run_idempotency import IdempotentRequest
from core.queries.run_rows import NewRun
from core.queries.run_sampling import ids_key
from core.run_spec import RunSpec
from core.telemetry import log_ids
from core.temporal import run_activity
from workflows.workflow_state import WorkflowState

if TYPE_CHECKING:
    from core.db.tables import EvalRun

MAX_IDS_SHOWN = 10

Answer = EvalRunBody | dict[str, Any]


@dataclass(frozen=True, slots=True)
class RequestedRun:
    """A run as a client requests it. `check` raises Invalid if there is nothing to judge."""

    body: RunBody
    target_type: TargetType
    check: Callable[[Reader, ProjectId], Awaitable[None]]
    filters: dict[str, Any] = field(default_factory=dict)
    sampling_rate: float = 1.0
    signal_weights: dict[str, float] | None = None

    @property
    def names_targets(self) -> bool:
        return ids_key(self.target_type) in self.filters


@dataclass(frozen=True, slots=True)
class RunOpener:
    """Opens the run of one request."""

    stack: AppState
    project: ProjectId
    path: str
    idempotency_key: str | None
    scope: Scope | None = None
    """Of a request that the audit log records."""

    async def create(self, requested: RequestedRun) -> Answer:
        body = requested.body
        request = self._request(body.model_dump(mode="json"))
        earlier = await self._earlier_answer(request)
        if earlier is not None:
            return earlier
        model = await self._check(requested)
        spec = RunSpec(
            run_id=uuid4(),
            project_id=self.project,
            target_type=requested.target_type,
            metric_names=body.metrics,
            signal_weights=requested.signal_weights,
            model=model,
            sampling_rate=requested.sampling_rate,
            **body.options(),
        )
        new = NewRun(spec=spec, filters=requested.filters)
        return await self._open(lambda db: run_names.create(db, new), request)

    async def retry(self, target_type: TargetType, run_id: UUID) -> Answer:
        async def check(db: Reader) -> None:
            old = await run_rows.get(db, self.project, run_id, target_type)
            await model_choice.check(self.stack, db, target_type, (old.model, old.metric_names))
            await budget_check.check(db, self.project, old.model, old.max_cost_usd)

        return await self.open(check, lambda db: run_retry.create(db, self.project, run_id))

    async def open(
        self,
        check: Callable[[Reader], Awaitable[None]],
        create: CreateRow,
        body: JsonValue = None,
    ) -> Answer:
        """Opens the run whose row `create` writes.

        `body` is the body of the request, if any.

        Raises the errors of `check` and `create`, and Unavailable; then nothing of the run remains.
        """
        request = self._request(body)
        earlier = await self._earlier_answer(request)
        if earlier is not None:
            return earlier
        async with self.stack.database.read() as db:
            await check(db)
        await self.stack.quotas.check_pairs(self.project)
        await self.stack.quotas.check_unfinished(self.project)
        return await self._open(create, request)

    async def _check(self, requested: RequestedRun) -> str:
        """The model of the run."""
        body = requested.body

        async def check(db: Reader) -> str:
            model = await model_choice.chosen(
                self.stack, db, requested.target_type, (body.model, body.metrics)
            )
            await budget_check.check(db, self.project, model, body.max_cost_usd)
            await requested.check(db, self.project)
            return model

        await self.stack.quotas.check_pairs(self.project)
        if requested.names_targets:
            model = await self.stack.database.read_at_once(check)
        else:
            # Filters may search for seconds.
            async with self.stack.database.read() as db:
                model = await check(db)
        await self.stack.quotas.check_unfinished(self.project)
        return model

    def _request(self, body: JsonValue) -> IdempotentRequest | None:
        """The request that the Idempotency-Key identifies: this body at this path."""
        if self.idempotency_key is None:
            return None
        return IdempotentRequest.of(self.project, self.idempotency_key, path=self.path, body=body)

    async def _earlier_answer(self, request: IdempotentRequest | None) -> Answer | None:
        """The earlier response to the same request. Raises Conflict for another body."""
        if request is None:
            return None
        async with self.stack.database.read() as db:
            earlier = await run_idempotency.find(db, request)
            if earlier is None:
                return None
            row = await run_rows.find(db, request.project_id, earlier.run_id)
        if earlier.response is not None:
            answer = EvalRunBody.model_validate(earlier.response)
            return answer if row is None else await progress.in_full(self.stack, row, answer)
        if row is None:
            return None
        return await progress.in_full(self.stack, row, await progress.live(self.stack, row))

    async def _open(self, create: CreateRow, request: IdempotentRequest | None) -> Answer:
        await self.stack.runs.check_reachable()
        try:
            opened, body = await self._create(create, request)
        except KeyTaken:
            answer = await self._earlier_answer(request)
            if answer is None:
                raise Unavailable("Temporal", "The first request with this key failed.") from None
            return answer
        if opened.audited and self.scope is not None:
            audit_trail.mark_recorded(self.scope)
        row = opened.row
        [body] = await budget_view.complete(self.stack.database, [body], [row])
        self.stack.measures.runs_started.inc()
        if request:
            async with self.stack.database.write() as db:
                await run_idempotency.keep_response(db, request, body.model_dump(mode="json"))
        return await progress.in_full(self.stack, row, body)

    async def _create(
        self, create: CreateRow, request: IdempotentRequest | None
    ) -> tuple[Opened, EvalRunBody]:
        """Writes the row, and starts the workflow if the run may begin at once."""
        namespace = await self.stack.runs.namespace()
        creating = self.stack.run_creation.create(create, request, namespace, self._action())
        async with creating as opened:
            log_ids.put(run_id=opened.row.id)
            if opened.admitted:
                return opened, await self._start(opened.row)
        return opened, await progress.waiting(self.stack, opened.row)

    def _action(self) -> Action | None:
        return None if self.scope is None else audit_trail.action_of(self.scope, None)

    async def _start(self, row: "EvalRun") -> EvalRunBody:
        async with self.stack.database.read() as db:
            known = await of_new_runs(db, [row], self.stack.settings.task_queue)
        pairs = known.get(row.id)
        # The request need not wait for a worker if the pairs are known.
        wait = self.stack.settings.resolve_wait_seconds if pairs is None else 0.0
        try:
            started = await self.stack.runs.start(
                RunSpec.of(row), wait_seconds=wait, open_pairs=pairs
            )
        except Unavailable:
            if await self._may_exist(row.id):
                return await progress.recorded(self.stack, row)
            project_id = ProjectId(row.project_id)
            async with self.stack.database.write() as db:
                await run_rows.remove(db, project_id, row.id, delete_scores=True)
                await run_idempotency.release(db, project_id, row.id)
            raise
        if pairs is not None:
            return EvalRunBody.of(row, activity=run_activity.WAITING_TO_BEGIN)
        if started is None or started.status.terminal:
            return await progress.recorded(self.stack, row)
        return EvalRunBody.of(row, started)

    async def _may_exist(self, run_id: UUID) -> bool:
        """Whether the workflow may exist, because an interrupted start may have succeeded."""
        try:
            return await self.stack.runs.existence(run_id) is not WorkflowState.ABSENT
        except Unavailable:
            return True


def _opener(
    stack: CurrentStack,
    project: WriteProject,
    http: Request,
    idempotency_key: IdempotencyKey = None,
) -> RunOpener:
    return RunOpener(stack, project, http.url.path, idempotency_key, http.scope)


Opener = Annotated[RunOpener, Depends(_opener)]


def refuse_unknown(noun: str, ids: Sequence[object]) -> None:
    """Raises Invalid if there are unknown ids."""
    if ids:
        shown = ", ".join(str(unknown) for unknown in ids[:MAX_IDS_SHOWN])
        more = f" and {len(ids) - MAX_IDS_SHOWN} more" if len(ids) > MAX_IDS_SHOWN else ""
        raise Invalid(
            f"This project has no {noun}s {shown}{more}: they have not arrived yet or do not "
            "exist. Nothing was started."
        )
