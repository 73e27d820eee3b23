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
"""Queued for longer: nobody takes it. Asked for longer after a failure: it fails again."""

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
    provider: str | None = None
    outage_since: datetime | None = None

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
    held_up = [one for one in pending if _is_held_up(one, now)]
    going_on = [one for one in pending if one.started and one not in held_up]
    if len(held_up) > len(going_on):
        [(kind, _)] = Counter(one.failure for one in held_up).most_common(1)
        return _held_up([one for one in held_up if one.failure == kind], now)
    asked = [one for one in going_on if one.activity == JUDGE_PAIR]
    if asked and len(asked) == len(going_on) and all(now - one.since > LONG_ASKED for one in asked):
        longest = min(one.since for one in asked)
        return f"judging; {_wait(len(asked))} for an answer, the longest since {_at(longest)}"
    return None


def only_queued(pending: Sequence[Pending], *, now: datetime) -> int:
    """How many pairs nobody takes; 0 when any of the run is being judged."""
    if any(one.started for one in pending):
        return 0
    queued = [one for one in pending if one.activity == JUDGE_PAIR and now - one.since > LONG]
    return len(queued)


def _is_held_up(one: Pending, now: datetime) -> bool:
    """It failed and waits for its next attempt, or that attempt meets with silence."""
    if one.failure is None or one.failure == "TurnOver":
        return False
    return (now - one.since > LONG) is one.started


def _held_up(alike: Sequence[Pending], now: datetime) -> str:
    judging = [one for one in alike if one.activity == JUDGE_PAIR]
    waits = _wait(len(judging)) if judging else "the run waits"
    next_try = min((one.since for one in alike if not one.started), default=None)
    until = _at(max(next_try, now)) if next_try else None
    words = f"({alike[0].words})"
    provider = next((one.provider for one in alike if one.provider), "the judge")
    match alike[0].failure:
        case "JudgeRateLimited":
            when = f"until {until}" if until else "once more"
            return f"{waits} for {provider} {when} after rate limiting {words}"
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
