"""What a run waits for, read off the judge activities that its batches have pending."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo

QUEUED_FOR_LONG: Final = timedelta(seconds=3)

_STARTED = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
_REASONS: Final = {
    "JudgeRateLimited": "after rate limiting",
    "JudgeUnreachable": "for the judge to answer again",
    "DatabaseUnavailable": "for the database",
}


def sentence(pending: Sequence[PendingActivityInfo], *, now: datetime) -> str | None:
    """None while judging goes on: at least as many pairs are being judged as wait to be."""
    judging = [one for one in pending if one.activity_type.name == "judge_pair"]
    started = [one for one in judging if one.state == _STARTED]
    retried = [
        one for one in judging if one.state != _STARTED and one.attempt > 1 and _has_failed(one)
    ]
    if len(retried) > len(started):
        return _retrying(retried)
    queued = [one for one in judging if one.state != _STARTED and one.attempt == 1]
    if queued and not started and now - _moment(queued[0].scheduled_time) > QUEUED_FOR_LONG:
        return f"{_pairs(len(queued))} for a judge slot; the workers are busy with other pairs"
    return None


def _retrying(retried: Sequence[PendingActivityInfo]) -> str:
    kinds = Counter(_kind(one) for one in retried)
    kind, _ = kinds.most_common(1)[0]
    alike = [one for one in retried if _kind(one) == kind]
    next_attempt = min(_moment(one.next_attempt_schedule_time) for one in alike)
    reason = _REASONS.get(kind, "for another attempt")
    words = alike[0].last_failure.message
    return f"{_pairs(len(alike))} until {next_attempt:%H:%M:%S} UTC {reason} ({words})"


def _pairs(count: int) -> str:
    return "1 pair waits" if count == 1 else f"{count} pairs wait"


def _has_failed(one: PendingActivityInfo) -> bool:
    return bool(one.HasField("last_failure"))


def _kind(one: PendingActivityInfo) -> str:
    return str(one.last_failure.application_failure_info.type)


def _moment(stamp: object) -> datetime:
    moment: datetime = stamp.ToDatetime(tzinfo=UTC)  # type: ignore[attr-defined] # protobuf Timestamp
    return moment
