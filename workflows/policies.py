"""All limits, time-outs and retry policies of the workflows, with their reasons."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from temporalio.common import Priority, RetryPolicy


@dataclass(frozen=True)
class Limits:
    """Limits that decide the commands of a workflow.

    They are part of a run's input, so that a deployment with other defaults does not change open
    runs.

    `pairs_per_batch`: about 2,000 events of history, far below the suggested 4,096.
    `pairs_in_flight`: open pairs of one batch. The server buffers at most 100 events while a
    workflow task runs, and each pair that ends adds two. `batches_open`: batches that begin new
    pairs; together they keep a judge queue full. `batches_per_run`: after this many a run continues
    as new. `pairs_without_batch`: a run of at most this many judges them itself.
    `small_run_in_flight`: open pairs of such a run. The first end that starts a workflow task is
    not buffered, so 49 ends and two signals fit. The default is that of histories from before this
    field.
    `pairs_ended_locally`: a local activity writes the end of a run of at most this many, within the
    workflow task that saw its last pair end. The default is zero, as in histories from before this
    field; `CURRENT_LIMITS` has today's number.
    `progress_seconds`, `progress_share`: a batch reports at most once per second, later once per
    tenth of its age, because each report is a workflow task of its run. These are 40 reports in
    ten minutes, and about 100 in a day.
    `lead_targets`: a batch of more targets judges one metric of each target first.
    `activity_in_memo`: whether the memo of the run shows what the run is doing. Temporal shows a
    memo without a worker. False in histories from before this field.
    `lanes_wait`: whether a lane waits again if another lane took the pair that it waited for. If
    not, the lane ends. False in histories from before this field.
    """

    pairs_per_batch: int = 500
    batches_open: int = 8
    pairs_in_flight: int = 40
    batches_per_run: int = 200
    min_pairs_per_batch: int = 50
    pairs_without_batch: int = 100
    small_run_in_flight: int = 100
    pairs_ended_locally: int = 0
    progress_seconds: float = 1.0
    progress_share: float = 0.1
    lead_targets: int = 20
    activity_in_memo: bool = False
    lanes_wait: bool = False

    @property
    def max_batches_open(self) -> int:
        """Includes batches that only wait for their last pairs, because one slow pair must not
        stall a run.
        """
        return 2 * self.batches_open


CURRENT_LIMITS: Final = Limits(
    small_run_in_flight=50, pairs_ended_locally=100, activity_in_memo=True, lanes_wait=True
)
"""The limits with which runs are started."""

MAX_TITLE: Final = 200
"""Characters of a run's name and metrics on its page."""

RESTART_SECONDS: Final = 1.0
"""Pause before a batch is started again while its predecessor is closing."""

STILL_SECONDS: Final = 3.0
"""A run that makes no progress for this long is inspected."""

MIN_TIMER_SECONDS: Final = 0.5
"""A timer costs five history events; do not set one for less than this."""

LOOK_GROWTH: Final = 1.5
"""Each inspection without a change delays the next inspection; a day has about 30."""

FREQUENT_LOOKS: Final = 60
LOOK_SHARE: Final = 0.05
"""After this many inspections, the pause is a twentieth of the run's age."""

MAX_WATCHED_HISTORY: Final = 4_500
"""Beyond this many history events a run is not inspected; at 4,096 it continues as new."""

# Begun work ends before new work begins: Temporal serves priority 1 first; 3 is the default.
FINISH_PRIORITY: Final = Priority(priority_key=1)
BATCH_PRIORITY: Final = Priority(priority_key=2)
JUDGE_PRIORITY_KEY: Final = 3
RUN_PRIORITY_KEY: Final = 4

# An unavailable database recovers, so bookkeeping retries without a limit.
_PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=20)
)

BOOKKEEPING: Final[dict[str, Any]] = {
    "start_to_close_timeout": timedelta(seconds=60),
    "retry_policy": _PATIENT,
}

LOOKING: Final[dict[str, Any]] = {
    # A failed inspection is not retried, because the next inspection follows.
    "start_to_close_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(maximum_attempts=1),
}

RESOLVING: Final[dict[str, Any]] = {
    # A million traces take a minute; the heartbeat distinguishes a slow worker from a dead one.
    "start_to_close_timeout": timedelta(minutes=30),
    "heartbeat_timeout": timedelta(seconds=20),
    "retry_policy": _PATIENT,
}

SWEEPING: Final[dict[str, Any]] = {
    # A turn deletes for a few seconds. A project whose turns keep failing waits for the next sweep,
    # so that the others get their turn.
    "start_to_close_timeout": timedelta(seconds=60),
    "heartbeat_timeout": timedelta(seconds=20),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=1),
        maximum_interval=timedelta(seconds=20),
        maximum_attempts=10,
    ),
}

COMPARING: Final[dict[str, Any]] = {
    # A million pairs take a minute or two.
    "start_to_close_timeout": timedelta(hours=1),
    "heartbeat_timeout": timedelta(seconds=60),
    "retry_policy": _PATIENT,
}

JUDGING: Final[dict[str, Any]] = {
    # The slowest pair asks three times, each time with two calls of at most five minutes. The
    # client's time-out ends a stuck call.
    "start_to_close_timeout": timedelta(minutes=35),
    # Longer than any outage of Temporal: a time-out during an outage would drop calls that are
    # already paid for. Other workers notice a dead worker sooner, by its missing heartbeat in the
    # store.
    "heartbeat_timeout": timedelta(seconds=60),
    # The activity sets each pause and decides when to give up. A maximum of attempts would not
    # limit time, and a schedule-to-close time-out would include the time in the queue.
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)
    ),
}

TRYING: Final[dict[str, Any]] = {
    # One attempt: the pairs that a bundle leaves open are judged one by one, with separate
    # attempts.
    **JUDGING,
    "retry_policy": RetryPolicy(maximum_attempts=1),
}
