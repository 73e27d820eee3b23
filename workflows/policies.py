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

    @property
    def most_batches_open(self) -> int:
        """With those that only wait for their last pairs: one slow pair must not hold a run up."""
        return 2 * self.batches_open


PROGRESS_SECONDS: Final = 1.0
PROGRESS_SHARE: Final = 0.1
"""A batch reports at most once a second, later once in a tenth of its age: each report is a
workflow task of its run. That makes forty in ten minutes and about a hundred in a day."""

STILL_SECONDS: Final = 3.0
"""A run of which nothing has ended for so long is looked at."""

SHORTEST_WAIT: Final = 0.5
"""A timer is five events, too many for the remainder of a moment."""

LOOK_GROWTH: Final = 1.5
"""Each look that changes nothing puts the next off: about thirty make a day."""

FREQUENT_LOOKS: Final = 60
LOOK_SHARE: Final = 0.05
"""After so many looks the next one waits for a twentieth of the run's age, however it goes."""

MOST_LOOKED_AT: Final = 4_500
"""Events of history beyond which no look adds any; a run continues as new from 4,096 on."""

# A database that is away comes back: bookkeeping waits for it as long as it takes.
_PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=20)
)

BOOKKEEPING: Final[dict[str, Any]] = {
    "start_to_close_timeout": timedelta(seconds=60),
    "retry_policy": _PATIENT,
}

LOOKING: Final[dict[str, Any]] = {
    # The next look makes up for one that fails.
    "start_to_close_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(maximum_attempts=1),
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
