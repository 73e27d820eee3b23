"""Describes in one sentence what a run is doing or waiting for."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from temporalio.client import Client

from core import clock
from core.ids import RunStatus
from core.safe_text import plain_markdown
from core.temporal.pending import (
    JUDGE_BUNDLE,
    FailingWorkflow,
    PendingActivity,
    read_pending,
)

RESOLVING: Final = "resolving which targets to judge"
JUDGING: Final = "judging"
FINISHING: Final = "recording the outcome"
PAUSED: Final = "paused at a budget; the run's page in Assay shows how much more it needs"
DONE: Final = "every pair has its score"
CANCELLED_IN_TEMPORAL: Final = (
    "Cancelled from Temporal before every pair was judged. Scores so far were kept."
)
TEMPORAL_AWAY: Final = "Temporal cannot be reached"
WAITING_TO_BEGIN: Final = "waiting for a worker to begin"
WAITING_FOR_ANSWER: Final = "waiting for a worker to answer"

MAX_RUNS_BEFORE: Final = 1_000
"""Earlier runs are counted up to this number, because each read of a waiting run counts them."""

LONG: Final = timedelta(seconds=3)
"""A pair queued longer than this has no worker; a retry that runs longer is getting no answer."""

LONG_ASKED: Final = timedelta(seconds=5)
"""Report a first attempt as slow after this long."""

PairsOfOthers = Callable[[UUID], Awaitable[int]]
"""Counts the open pairs of the project's other runs."""


SilentWorkers = Callable[[], Awaitable[Mapping[str, datetime]]]
"""Workers that stopped reporting without a shutdown, with the time of their last report."""


def page(*, status: RunStatus, doing: str | None, evaluated: int, total: int, failed: int) -> str:
    """The text for the page of the run's workflow in Temporal's UI, in Markdown."""
    return (
        f"**{status}**: {plain_markdown(doing or DONE)}\n\n"
        f"{evaluated} of {total} targets evaluated, {failed} pairs failed"
    )


def memo(doing: str, *, evaluated: int, total: int, failed: int, at: datetime) -> str:
    """The text in the memo of the run's workflow."""
    return (
        f"{doing}; {evaluated} of {total} targets evaluated, {failed} pairs failed "
        f"(at {at:%Y-%m-%d %H:%M:%S} UTC)"
    )


def cancelling(reason: str | None) -> str:
    return "cancelling" if reason is None else f"cancelling; {reason}"


def waiting_for_turn(before: int) -> str:
    """`before`: the number of waiting runs of the project that were posted earlier, counted up to
    `MAX_RUNS_BEFORE`.
    """
    if before == 0:
        return "waiting to be admitted; it is the next run of this project to begin"
    runs = "run" if before == 1 else "runs"
    number = f"at least {before}" if before >= MAX_RUNS_BEFORE else str(before)
    return f"waiting to be admitted; {number} {runs} of this project will begin before it"


def no_worker(last_seen: datetime | None) -> str:
    if last_seen is None:
        return "no worker is running"
    return f"no worker is running; the last was heard from at {_at(last_seen)}"


def not_polled(task_queue: str) -> str:
    return f"no worker polls the task queue {task_queue!r}"


async def describe_wait(
    client: Client,
    run_id: UUID,
    pairs_of_others: PairsOfOthers | None,
    silent_workers: SilentWorkers | None = None,
) -> str | None:
    """The sentence; None while the run makes progress. Raises RPCError and database errors."""
    work = await read_pending(client, run_id)
    now = clock.now()
    if work.failing:
        return failing(work.failing)
    silent = await silent_workers() if silent_workers else {}
    lost = [one for one in work.activities if one.started and one.worker in silent]
    if lost:
        return _lost(lost, silent)
    sentence = describe(work.activities, now=now)
    if sentence is not None:
        return sentence
    queued = only_queued(work.activities, now=now)
    if not queued:
        return None
    others = await pairs_of_others(run_id) if pairs_of_others else 0
    busy = (
        f"; the queue is busy with {_pairs(others)} of other runs of this project" if others else ""
    )
    return f"{_wait(queued)} for a judge slot{busy}"


def failing(workflows: Sequence[FailingWorkflow]) -> str:
    first = workflows[0]
    _, batch, number = first.workflow_id.partition("-batch-")
    whose = f"batch {number}" if batch else "the run"
    return (
        f"the workflow code of {whose} fails (attempt {first.attempt}); "
        "the worker's log has the error. Cancelling the run ends it within two minutes"
    )


def describe(pending: Sequence[PendingActivity], *, now: datetime) -> str | None:
    """The sentence; None if more pairs are being judged than wait, or if the waiting pairs were
    queued only recently.
    """
    held_up = _held_up(pending, now)
    begun = [one for one in pending if one.started and not one.has_failed]
    if len(held_up) > len(begun):
        [(kind, _)] = Counter(one.failure for one in held_up).most_common(1)
        return _why([one for one in held_up if one.failure == kind], now)
    started = [one for one in pending if one.started]
    if started and all(_is_slow(one, now) for one in started):
        return _slow(started)
    return None


def _lost(lost: Sequence[PendingActivity], silent: Mapping[str, datetime]) -> str:
    worker = lost[0].worker or ""
    return (
        f"{_count(lost)} had begun on worker {worker}, which was last heard from at "
        f"{_at(silent[worker])}; they are judged again within a minute"
    )


def _slow(started: Sequence[PendingActivity]) -> str:
    """Names the stage that most attempts reported.

    An attempt without a heartbeat counts as judging.
    """
    [(stage, _)] = Counter(one.stage or "asking" for one in started).most_common(1)
    alike = [one for one in started if (one.stage or "asking") == stage]
    what = "an answer" if stage == "asking" else "the database"
    longest = min(one.since for one in alike)
    return f"judging; {_wait(alike)} for {what}, the longest since {_at(longest)}"


def _held_up(pending: Sequence[PendingActivity], now: datetime) -> list[PendingActivity]:
    """Pairs whose last attempt failed, except pairs whose new attempt began only recently.

    A pair that is due but has not begun waits for other pairs: failing pairs, pairs of a provider
    that answers again, or pairs of other runs.
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


def _is_slow(pending: PendingActivity, now: datetime) -> bool:
    return pending.judges and now - pending.since > LONG_ASKED


def only_queued(pending: Sequence[PendingActivity], *, now: datetime) -> list[PendingActivity]:
    """The queued activities that no worker takes; empty while any pair or bundle of the run is
    being judged.
    """
    if any(one.started for one in pending):
        return []
    return [one for one in pending if one.judges and now - one.since > LONG]


def _why(alike: Sequence[PendingActivity], now: datetime) -> str:
    judging = [one for one in alike if one.judges]
    waits = _wait(judging) if judging else "the run waits"
    # Without a time, the due pairs have begun or will begin shortly.
    next_try = min(
        (one.since for one in alike if not one.started and one.since > now), default=None
    )
    until = _at(next_try) if next_try else None
    message = f"({alike[0].message})"
    provider = next((one.provider for one in alike if one.provider), "the judge")
    match alike[0].failure:
        case "JudgeRateLimited":
            when = f" until {until}" if until else ", being asked again now,"
            return f"{waits} for {provider}{when} after rate limiting {message}"
        case "JudgeNoPermit":
            when = f"; the next try is at {until}" if until else ""
            return f"{waits} for their turn at {provider}{when} {message}"
        case "BudgetWait":
            return f"{waits} for the bills of open calls; {_again('tried', until)} {message}"
        case "JudgeUnreachable":
            outages = [one.outage_since for one in alike if one.outage_since]
            since = f", which is down since {_at(min(outages))}" if outages else ""
            return f"{waits} for {provider}{since}; {_again('asked', until)} {message}"
        case "JudgeRefused":
            return f"{waits} after a refusal; {_again('asked', until)} {message}"
        case "DatabaseUnavailable":
            return f"{waits} for the database; {_again('tried', until)} {message}"
        case _:
            return f"{waits} for another attempt; {_again('tried', until)} {message}"


def _again(verb: str, until: str | None) -> str:
    return f"{verb} again at {until}" if until else f"being {verb} again now"


def _wait(waiting: Sequence[PendingActivity]) -> str:
    return f"{_count(waiting)} wait{'s' if len(waiting) == 1 else ''}"


def _count(judging: Sequence[PendingActivity]) -> str:
    """Counts pairs and bundles separately, because the number of pairs in a bundle is unknown."""
    bundles = sum(one.activity == JUDGE_BUNDLE for one in judging)
    pairs = len(judging) - bundles
    told = [f"{bundles} bundle{'' if bundles == 1 else 's'}"] if bundles else []
    return " and ".join([*told, _pairs(pairs)] if pairs else told)


def _pairs(count: int) -> str:
    return f"{count} pair{'' if count == 1 else 's'}"


def _at(moment: datetime) -> str:
    return f"{moment:%H:%M:%S} UTC"
