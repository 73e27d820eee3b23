"""What a run waits for, read off the activities that its workflows have pending."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self
from uuid import UUID

from temporalio import activity
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client

from core import clock
from core.database import Database
from core.queries import pairs
from core.temporal import batch_workflow_id, run_workflow_id

LONG: Final = timedelta(seconds=3)
"""Queued for longer: nobody takes it. Tried for longer after a failure: it meets with silence."""

LONG_ASKED: Final = timedelta(seconds=5)
"""A first attempt that takes longer is told of."""

JUDGE_PAIR: Final = "judge_pair"
WHY_WAITING: Final = "why_waiting"

_MOST_WORDS: Final = 240
_STARTED: Final = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED

PairsOfOthers = Callable[[UUID], Awaitable[int]]
"""How many pairs of runs other than this one are still to be judged."""


@dataclass(frozen=True)
class UnderWay:
    """A run and those of its batches that are not over."""

    run_id: UUID
    batches: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """`since` is when it was taken by a worker or, not `started`, when it may be, even if ahead."""

    activity: str
    started: bool
    since: datetime
    failure: str | None = None
    words: str = ""
    failed_at: datetime | None = None
    provider: str | None = None
    outage_since: datetime | None = None

    @property
    def has_failed(self) -> bool:
        """A long session that only made room for others has not."""
        return self.failure not in (None, "TurnOver")

    @classmethod
    async def of(cls, info: PendingActivityInfo, client: Client) -> Self:
        started = info.state == _STARTED
        # What `Endurance` leaves for the next attempt.
        details = await client.data_converter.decode(list(info.heartbeat_details.payloads))
        outage, _, provider = [*details, None, None, None][:3]
        failed = info.HasField("last_failure")
        return cls(
            activity=info.activity_type.name,
            started=started,
            since=_moment(info.last_started_time if started else info.scheduled_time),
            failure=info.last_failure.application_failure_info.type if failed else None,
            words=_shortened(info.last_failure.message),
            failed_at=_moment(info.last_attempt_complete_time) if failed else None,
            provider=provider,
            outage_since=datetime.fromisoformat(outage) if outage else None,
        )


class Waiting:
    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=WHY_WAITING)
    async def why_waiting(self, run: UnderWay) -> str | None:
        """For the workflow's page: a workflow cannot see what it has pending."""
        return await why_waiting(activity.client(), run, self.pairs_of_others)

    async def pairs_of_others(self, run_id: UUID) -> int:
        async with self._database.read() as db:
            return await pairs.left_in_others(db, run_id)


async def why_waiting(
    client: Client, run: UnderWay, pairs_of_others: PairsOfOthers | None
) -> str | None:
    """One plain sentence; None while the run goes on. Raises RPCError, and what the store may."""
    pending = await _pending(client, run)
    said = sentence(pending, now=clock.now())
    if said is not None:
        return said
    queued = only_queued(pending, now=clock.now())
    if not queued:
        return None
    others = await pairs_of_others(run.run_id) if pairs_of_others else 0
    busy = f"; the queue is busy with {_count(others)} of other runs" if others else ""
    return f"{_wait(queued)} for a judge slot{busy}"


async def _pending(client: Client, run: UnderWay) -> list[Pending]:
    # With a batch open, the run itself only waits for it.
    ids = [batch_workflow_id(run.run_id, number) for number in run.batches]
    described = await asyncio.gather(
        *(client.get_workflow_handle(id).describe() for id in ids or [run_workflow_id(run.run_id)])
    )
    return [
        await Pending.of(info, client)
        for one in described
        for info in one.raw_description.pending_activities
        if info.activity_type.name != WHY_WAITING
    ]


def sentence(pending: Sequence[Pending], *, now: datetime) -> str | None:
    """None while more is being done than waits, and where what waits has only been queued."""
    held_up = _held_up(pending, now)
    begun = [one for one in pending if one.started and not one.has_failed]
    if len(held_up) > len(begun):
        [(kind, _)] = Counter(one.failure for one in held_up).most_common(1)
        return _told([one for one in held_up if one.failure == kind], now)
    started = [one for one in pending if one.started]
    if started and all(_is_slow(one, now) for one in started):
        longest = min(one.since for one in started)
        return f"judging; {_wait(len(started))} for an answer, the longest since {_at(longest)}"
    return None


def _held_up(pending: Sequence[Pending], now: datetime) -> list[Pending]:
    """What failed, save attempts that have only just begun.

    What is due again but not begun waits for its turn: behind others that fail, or
    behind those of a provider that answers again, or of other runs.
    """
    failed = [one for one in pending if one.has_failed]
    trying = [one for one in failed if one.started and now - one.since <= LONG]
    newest = max((one.failed_at for one in failed if one.failed_at), default=now)
    recovering = bool(trying) and now - newest > LONG
    behind_failures = any(one.started for one in pending) and not recovering
    return [
        one
        for one in failed
        if one not in trying and (one.started or now - one.since <= LONG or behind_failures)
    ]


def _is_slow(one: Pending, now: datetime) -> bool:
    return one.activity == JUDGE_PAIR and now - one.since > LONG_ASKED


def only_queued(pending: Sequence[Pending], *, now: datetime) -> int:
    """How many pairs nobody takes; 0 when any of the run is being judged."""
    if any(one.started for one in pending):
        return 0
    queued = [one for one in pending if one.activity == JUDGE_PAIR and now - one.since > LONG]
    return len(queued)


def _told(alike: Sequence[Pending], now: datetime) -> str:
    judging = [one for one in alike if one.activity == JUDGE_PAIR]
    waits = _wait(len(judging)) if judging else "the run waits"
    # Without one, those that are due have begun or begin any moment.
    next_try = min(
        (one.since for one in alike if not one.started and one.since > now), default=None
    )
    until = _at(next_try) if next_try else None
    words = f"({alike[0].words})"
    provider = next((one.provider for one in alike if one.provider), "the judge")
    match alike[0].failure:
        case "JudgeRateLimited":
            when = f" until {until}" if until else ", being asked again now,"
            return f"{waits} for {provider}{when} after rate limiting {words}"
        case "JudgeUnreachable":
            outages = [one.outage_since for one in alike if one.outage_since]
            since = f", which is down since {_at(min(outages))}" if outages else ""
            return f"{waits} for {provider}{since}; {_again('asked', until)} {words}"
        case "DatabaseUnavailable":
            return f"{waits} for the database; {_again('tried', until)} {words}"
        case _:
            return f"{waits} for another attempt; {_again('tried', until)} {words}"


def _again(verb: str, until: str | None) -> str:
    return f"{verb} again at {until}" if until else f"being {verb} again now"


def _wait(count: int) -> str:
    return f"{_count(count)} wait{'s' if count == 1 else ''}"


def _count(count: int) -> str:
    return f"{count} pair{'' if count == 1 else 's'}"


def _at(moment: datetime) -> str:
    return f"{moment:%H:%M:%S} UTC"


def _shortened(words: str) -> str:
    return words if len(words) <= _MOST_WORDS else f"{words[: _MOST_WORDS - 1].rstrip()}…"


def _moment(stamp: Any) -> datetime:
    """Of a protobuf Timestamp."""
    moment: datetime = stamp.ToDatetime(tzinfo=UTC)
    return moment
