"""What the time-outs and retry policies of judge activities must allow."""

from datetime import timedelta

import worker
from workflows.policies import JUDGING

SILENCE = timedelta(seconds=15)
"""How long Temporal may be silent without cutting off a call that is already paid for."""


def test_attempts_do_not_bound_how_long_a_pair_waits_for_its_provider() -> None:
    """The retry budget does: a day of rate limits may take thousands of attempts."""
    assert JUDGING["retry_policy"].maximum_attempts == 0


def test_a_silent_temporal_cuts_off_no_call() -> None:
    timeout = JUDGING["heartbeat_timeout"]
    # A pair sends a heartbeat per third of the time-out, which the SDK may hold back.
    oldest = timeout / 3 + worker.HEARTBEAT_THROTTLE
    assert timeout - oldest >= SILENCE
