"""Every time-out and retry policy, named, with its reason."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from temporalio.common import RetryPolicy


@dataclass(frozen=True)
class Limits:
    """Part of a run's input: a deployment that changes a default changes no run under way.

    `pairs_per_batch`: about 2,000 events of history, far below the suggested 4,096.
    `pairs_in_flight` of a batch, times `batches_open`, is what one run keeps going
    at the judge queue, however many batches it has. After `batches_per_run` a run continues as new.
    """

    pairs_per_batch: int = 500
    batches_open: int = 4
    pairs_in_flight: int = 80
    batches_per_run: int = 200


PROGRESS_REPORTS: Final = 20
PROGRESS_SECONDS: Final = 1.0
"""A batch reports at most so often: each report is a workflow task of its run."""

# A database that is away comes back: bookkeeping waits for it as long as it takes.
_PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=20)
)

BOOKKEEPING: Final[dict[str, Any]] = {
    "start_to_close_timeout": timedelta(seconds=60),
    "retry_policy": _PATIENT,
}

RESOLVING: Final[dict[str, Any]] = {
    # A million traces take a minute; the heartbeat tells a slow worker from a dead one.
    "start_to_close_timeout": timedelta(minutes=30),
    "heartbeat_timeout": timedelta(seconds=20),
    "retry_policy": _PATIENT,
}

JUDGING: Final[dict[str, Any]] = {
    # Three stages of two calls of at most five minutes make up the slowest pair. What ends a stuck
    # one sooner is the client's own time-out; what notices a dead worker is the heartbeat.
    "start_to_close_timeout": timedelta(minutes=35),
    "heartbeat_timeout": timedelta(seconds=10),
    # The activity sets the pause and says when it is enough. The bound is for pairs that kill
    # their worker each time. There is no limit from schedule to close: it would count the queue.
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=1),
        maximum_interval=timedelta(seconds=30),
        maximum_attempts=500,
    ),
}
