"""The page of one session."""

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
