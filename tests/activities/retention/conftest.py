"""Time stands still, and turns need no pauses."""

import pytest

from activities.retention import trace_sweep, write_pace
from core import clock
from tests.activities.retention.ages import NOW


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_pace, "MAX_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(trace_sweep, "RESOLVING_SECONDS", 0.0)
