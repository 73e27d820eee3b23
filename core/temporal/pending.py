"""Reads from Temporal which activities of a run are pending."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import UUID

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.exceptions import FailureError

from core.safe_text import sanitize
from core.temporal.client import run_workflow_id
from core.truncation import truncate

JUDGE_PAIR: Final = "judge_pair"
JUDGE_BUNDLE: Final = "judge_bundle"
WHY_WAITING: Final = "why_waiting"

WORKER_LOST: Final = "WorkerLost"
"""Failure type of an attempt that was ended because its worker vanished."""

MAX_MESSAGE: Final = 240
_STARTED: Final = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED


@dataclass(frozen=True)
class OpenBatches:
    """The input of `why_waiting`, which runs of the previous release still call."""

    run_id: UUID
    batches: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingActivity:
    """`since`: when a worker picked it up; if not `started`, the earliest time one may (possibly in
    the future). `stage` and `pair`, a metric and its target, come from the last heartbeat of the
    attempt. `attempt` counts from 1.
    """

    activity: str
    started: bool
    since: datetime
    failure: str | None = None
    message: str = ""
    failed_at: datetime | None = None
    provider: str | None = None
    outage_since: datetime | None = None
    stage: str | None = None
    pair: str | None = None
    attempt: int = 1
    worker: str | None = None
    activity_id: str = ""
    workflow_id: str = ""

    @property
    def judges(self) -> bool:
        """Whether the activity judges a pair or a bundle."""
        return self.activity in (JUDGE_PAIR, JUDGE_BUNDLE)

    @property
    def has_failed(self) -> bool:
        """Whether the last attempt failed; the end of a time slice does not count."""
        return self.failure not in (None, "TurnOver")

    @classmethod
    async def of(cls, info: PendingActivityInfo, client: Client, workflow_id: str) -> Self:
        started = info.state == _STARTED
        details = await _details(info, client)
        outage = details.get("outage_since")
        failed = info.HasField("last_failure")
        return cls(
            activity=info.activity_type.name,
            started=started,
            since=_moment(info.last_started_time if started else info.scheduled_time),
            failure=info.last_failure.application_failure_info.type if failed else None,
            message=truncate(sanitize(await _message(info, client)), MAX_MESSAGE),
            failed_at=_moment(info.last_attempt_complete_time) if failed else None,
            provider=details.get("provider"),
            outage_since=datetime.fromisoformat(outage) if outage else None,
            stage=details.get("stage"),
            pair=details.get("pair"),
            attempt=info.attempt,
            worker=info.last_worker_identity or None,
            activity_id=info.activity_id,
            workflow_id=workflow_id,
        )


@dataclass(frozen=True, slots=True)
class FailingWorkflow:
    """A workflow whose task fails repeatedly, because its code does not match its history."""

    workflow_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class PendingWork:
    activities: list[PendingActivity]
    failing: list[FailingWorkflow]


MAX_TASK_ATTEMPTS: Final = 2
"""A workflow task may fail once or twice when its worker stops."""


async def read_pending(client: Client, run_id: UUID) -> PendingWork:
    """Pending activities of the run's workflow and its batches.

    Needs no worker. Raises RPCError.
    """
    run = await client.get_workflow_handle(run_workflow_id(run_id)).describe()
    batches = await asyncio.gather(
        *(
            client.get_workflow_handle(child.workflow_id).describe()
            for child in run.raw_description.pending_children
        )
    )
    described = [run, *batches]
    return PendingWork(
        activities=[
            await PendingActivity.of(info, client, one.id)
            for one in described
            for info in one.raw_description.pending_activities
            if info.activity_type.name != WHY_WAITING
        ],
        failing=[failing for one in described if (failing := _failing(one))],
    )


def _failing(described: WorkflowExecutionDescription) -> FailingWorkflow | None:
    attempt = described.raw_description.pending_workflow_task.attempt
    return FailingWorkflow(described.id, attempt) if attempt > MAX_TASK_ATTEMPTS else None


async def _message(info: PendingActivityInfo, client: Client) -> str:
    """The message of the last failure, which a codec may have encoded."""
    if not info.last_failure.HasField("encoded_attributes"):
        return str(info.last_failure.message)
    failure = Failure()
    failure.CopyFrom(info.last_failure)
    decoded = await client.data_converter.decode_failure(failure)
    return decoded.message if isinstance(decoded, FailureError) else str(decoded)


async def _details(info: PendingActivityInfo, client: Client) -> dict[str, Any]:
    """The details that `RetryBudget` left for the next attempt, in this release or the previous
    one.
    """
    details = await client.data_converter.decode(list(info.heartbeat_details.payloads))
    if not details:
        return {}
    if isinstance(details[0], dict):
        return details[0]
    outage, _, provider = [*details, None, None, None][:3]
    return {"outage_since": outage, "provider": provider}


def _moment(stamp: Any) -> datetime:
    moment: datetime = stamp.ToDatetime(tzinfo=UTC)
    return moment
