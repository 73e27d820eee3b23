"""Stops calling a model that only fails, and detects its recovery with single calls."""

import math
from typing import Final

MAX_FAILURES: Final = 10
"""This many consecutive failures count as an outage. Random failures rarely reach this number."""

FIRST_PAUSE_SECONDS: Final = 1.0
MAX_PAUSE_SECONDS: Final = 15.0


class CircuitBreaker:
    """Closed: calls pass.

    Open: no call passes. Half-open: one probe decides.

    The pattern is Nygard's ("Release It!"). Each failed probe doubles the pause before the next
    probe, from `FIRST_PAUSE_SECONDS` to `MAX_PAUSE_SECONDS`. Any answer closes the circuit, even to
    a call that began before the circuit opened.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._opened_at: float | None = None
        self._next_probe = -math.inf
        self._pause = FIRST_PAUSE_SECONDS
        self._probing = False

    @property
    def is_open(self) -> bool:
        return self._opened_at is not None

    def delay(self, now: float) -> float:
        """Seconds until a call may pass; while a probe is open, the current pause."""
        if self._opened_at is None:
            return 0.0
        return self._pause if self._probing else max(0.0, self._next_probe - now)

    def began(self) -> bool:
        """Records the start of a call. True if the call is the probe."""
        self._probing = self.is_open
        return self._probing

    def answered(self) -> bool:
        """Records an answer. True if it closed the circuit."""
        closed = self.is_open
        self._failures = 0
        self._opened_at = None
        self._pause = FIRST_PAUSE_SECONDS
        self._probing = False
        return closed

    def failed(self, now: float, *, probe: bool) -> None:
        self._failures += 1
        if probe and self.is_open:
            self._pause = min(2 * self._pause, MAX_PAUSE_SECONDS)
            self._open(now)
        elif not self.is_open and self._failures >= MAX_FAILURES:
            self._open(now)

    def probe_abandoned(self) -> None:
        """The probe was cancelled without a result, so the next call is a probe."""
        self._probing = False

    def _open(self, now: float) -> None:
        self._opened_at = now
        self._next_probe = now + self._pause
        self._probing = False
