"""The page of one session."""

import pytest

from api.dashboard import session
from tests.api.conftest import Service
from tests.api.dashboard.conftest import Browser, store_run


async def test_the_risk_of_a_trace_is_only_what_a_score_of_the_session_says(
    sqlite_service: Service, sqlite_writer: Browser
) -> None:
    """A signal is a risk only below its reference, which only a score of the session knows."""
    trace = await sqlite_service.post_trace(session_id="s-1")
    await store_run(sqlite_service, [(trace, "coherence", 0.3)])
    page = (await sqlite_writer.get("/sessions/s-1")).text
    assert "0.30" in page
    assert "0.70" not in page


async def test_the_page_reads_no_more_than_a_few_large_traces(
    sqlite_service: Service, sqlite_writer: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        await sqlite_service.post_trace(
            session_id="s-1", input=f"question {n}", started_at=f"2026-01-01T00:00:0{n}Z"
        )
    assert "question 2" in (await sqlite_writer.get("/sessions/s-1")).text
    monkeypatch.setattr(session, "_MAX_READ_BYTES", 1)
    page = (await sqlite_writer.get("/sessions/s-1")).text
    assert "question 0" in page
    assert "question 1" not in page
