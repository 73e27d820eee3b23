"""What the pairs of a run wait for, and the state of the rate control of workers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from temporalio.service import RPCError

from api.dashboard.access import ProjectViewer
from api.schemas.runs import EvalRunBody
from core.errors import Unavailable
from core.ids import RunStatus
from core.provider_status import ThrottleState, ThrottleStatus
from core.queries import workers
from core.temporal import run_activity
from core.temporal.pending import PendingActivity

_MAX_REASONS: Final = 5
_MAX_PAIRS: Final = 20
_PENDING_SECONDS: Final = 1.0
_MOVES: Final = frozenset((run_activity.JUDGING, run_activity.RESOLVING, run_activity.FINISHING))
_STATE_WORDS: Final = {
    ThrottleState.OPEN: "without a limit",
    ThrottleState.RATE_LIMITED: "keeps to a slower pace after rate limiting",
    ThrottleState.DOWN: "only probes: every call failed",
    ThrottleState.FULL: "has as many calls open as it may have",
}


@dataclass(frozen=True, slots=True)
class Wait:
    """Pairs that wait for the same reason, with the provider's words and the earliest end of the
    wait.
    """

    provider: str
    pairs: int
    words: str
    next_try: datetime | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class WaitingPair:
    """One pair without success so far.

    `metric` and `target` are empty before its first heartbeat.
    """

    metric: str
    target: str
    attempt: int
    words: str
    next_try: datetime | None


@dataclass(frozen=True, slots=True)
class ThrottleView:
    """`tone` is a class of the stylesheet."""

    status: ThrottleStatus
    words: str
    tone: str


async def of_run(viewer: ProjectViewer, run: EvalRunBody) -> dict[str, Any]:
    """The waits of a run; empty if the run makes progress, or if the waits are unknown."""
    nothing: dict[str, Any] = {"waits": [], "waiting_pairs": [], "throttles": []}
    if run.status is not RunStatus.RUNNING or run.paused or (run.activity or "") in _MOVES:
        return nothing
    try:
        async with asyncio.timeout(_PENDING_SECONDS):
            pending = await viewer.stack.runs.pending_activities(run.id)
    except (Unavailable, RPCError, TimeoutError):
        return nothing
    failing = [one for one in pending if one.has_failed]
    return {
        "waits": _grouped([one for one in failing if not one.started]),
        "waiting_pairs": [
            _pair(one) for one in sorted(failing, key=lambda one: -one.attempt) if one.judges
        ][:_MAX_PAIRS],
        "throttles": [
            one for one in await throttles(viewer) if one.status.state is not ThrottleState.OPEN
        ],
    }


def _grouped(waiting: Sequence[PendingActivity]) -> list[Wait]:
    groups: dict[tuple[str, str], list[PendingActivity]] = {}
    for pair in waiting:
        groups.setdefault((pair.provider or "", pair.message), []).append(pair)
    waits = [
        Wait(
            provider=provider,
            pairs=len(group),
            words=words,
            next_try=min(pair.since for pair in group),
            since=min((pair.outage_since for pair in group if pair.outage_since), default=None),
        )
        for (provider, words), group in groups.items()
    ]
    return sorted(waits, key=lambda wait: -wait.pairs)[:_MAX_REASONS]


def _pair(pending: PendingActivity) -> WaitingPair:
    metric, _, target = (pending.pair or "").partition(" of ")
    return WaitingPair(
        metric, target, pending.attempt, pending.message, None if pending.started else pending.since
    )


async def throttles(viewer: ProjectViewer) -> list[ThrottleView]:
    """The states that workers reported recently."""
    async with viewer.stack.database.read_autocommit() as db:
        states = await workers.throttles(db)
    return [
        ThrottleView(
            one, _STATE_WORDS[one.state], "" if one.state is ThrottleState.OPEN else "warn"
        )
        for one in states
    ]
