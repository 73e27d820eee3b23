import logging
from uuid import uuid4

import pytest
from sqlalchemy.exc import DBAPIError, OperationalError
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.testing import ActivityEnvironment

from activities.error_translation import (
    MAX_PAUSE_SECONDS,
    MAX_RETRY_AFTER_SECONDS,
    RUN_STOPPED,
    TimeSliceExpired,
    retry_delay,
    translate,
    translate_errors,
)
from activities.payloads import RunRef
from core.errors import (
    Invalid,
    JudgeBusy,
    JudgeFailed,
    JudgeUnusable,
    NoPermit,
    NotFound,
    PermitWait,
)
from core.telemetry import log_ids


class Refused(Exception):
    """An error in asyncpg's form for codes without a class."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("the database system is starting up")
        self.sqlstate = sqlstate


def seconds(error: Exception, attempt: int = 1) -> float:
    delay = translate(error, attempt=attempt).next_retry_delay
    assert delay is not None
    return delay.total_seconds()


def no_permit(cause: PermitWait, wait: float = 3.0) -> NoPermit:
    return NoPermit("its turn comes", provider="p", retry_after=wait, cause=cause)


def test_a_pair_comes_back_when_its_turn_comes_however_often_it_waited() -> None:
    for attempt in (1, 2, 50):
        assert 3.0 <= seconds(no_permit(PermitWait.CONCURRENCY), attempt) <= 3.3


@pytest.mark.parametrize("asked", [1.0, 17.0, 3600.0])
def test_a_provider_is_not_asked_before_the_moment_it_named(asked: float) -> None:
    busy = JudgeBusy("429", provider="openai", retry_after=asked, rate_limited=True)
    for attempt in (1, 2, 50):
        assert asked <= seconds(busy, attempt) <= asked + 5


def test_pauses_double_and_are_spread_up_to_a_bound() -> None:
    for attempt, grown in ((1, 1), (2, 2), (4, 8), (6, 30), (900, 30)):
        waits = [retry_delay(attempt) for _ in range(200)]
        assert min(waits) >= min(grown, MAX_PAUSE_SECONDS) / 2
        assert max(waits) <= min(grown, MAX_PAUSE_SECONDS)
        assert len(set(waits)) > 100


@pytest.mark.parametrize(
    ("error", "kind", "retried"),
    [
        (JudgeBusy("slow", provider="p", rate_limited=True), "JudgeRateLimited", True),
        (JudgeBusy("away", provider="p"), "JudgeUnreachable", True),
        (no_permit(PermitWait.CONCURRENCY), "JudgeNoPermit", True),
        (no_permit(PermitWait.RATE_LIMIT), "JudgeRateLimited", True),
        (no_permit(PermitWait.OUTAGE), "JudgeUnreachable", True),
        (JudgeUnusable("bad key", provider="p"), RUN_STOPPED, False),
        (JudgeFailed("refused", provider="p"), "JudgeFailed", False),
        (NotFound("trace", "x"), "NotFound", False),
        (Invalid("no such metric"), "Invalid", False),
        (OperationalError("SELECT 1", {}, Exception("locked")), "DatabaseUnavailable", True),
        (ConnectionResetError(), "DatabaseUnavailable", True),
        (DBAPIError("SELECT 1", {}, Refused("57P03")), "DatabaseUnavailable", True),
        (DBAPIError("SELECT 1", {}, Refused("53100")), "DatabaseUnavailable", True),
        (DBAPIError("SELECT 1", {}, Refused("40P01")), "DatabaseUnavailable", True),
        (DBAPIError("SELECT 1", {}, Refused("22P02")), "Unexpected", True),
        (KeyError("bug"), "Unexpected", True),
    ],
)
def test_each_error_says_whether_it_is_worth_another_attempt(
    error: Exception, kind: str, retried: bool
) -> None:
    translated = translate(error, attempt=1)
    assert (translated.type, not translated.non_retryable) == (kind, retried)


@pytest.mark.parametrize("final", [False, True])
def test_an_unexpected_error_is_retried_until_it_is_final(final: bool) -> None:
    assert translate(KeyError(), attempt=7, final=final).non_retryable is final


def test_a_provider_that_asks_for_years_is_asked_again_within_the_hour() -> None:
    for asked in (1e12, float("inf")):
        busy = JudgeBusy("429", provider="openai", retry_after=asked, rate_limited=True)
        assert seconds(busy) <= MAX_RETRY_AFTER_SECONDS + 5


def test_a_busy_provider_raises_no_alarm() -> None:
    busy = translate(JudgeBusy("429", provider="p"), attempt=1)
    assert busy.category is ApplicationErrorCategory.BENIGN


def test_no_statement_and_no_parameter_reaches_the_message() -> None:
    error = OperationalError("INSERT secret", {"input": "private"}, Exception("disk full"))
    message = translate(error, attempt=1).message
    assert "secret" not in message
    assert "private" not in message


def test_the_end_of_a_turn_is_no_failure_and_is_followed_by_another_at_once() -> None:
    error = translate(TimeSliceExpired(), attempt=300)
    assert error.category is ApplicationErrorCategory.BENIGN
    assert not error.non_retryable
    assert seconds(TimeSliceExpired(), 300) < 1


async def test_temporal_stores_where_an_unexpected_error_arose_but_not_its_text() -> None:
    """Its text may quote a trace: here the key that a dictionary lacks."""
    run = RunRef(uuid4(), uuid4())
    seen = list[tuple[str, dict[str, str]]]()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append((record.getMessage(), log_ids.known()))

    @translate_errors
    async def judge(_: RunRef) -> None:
        dict[str, str]()["the" + " trace"]

    log = logging.getLogger("activities.error_translation")
    log.addHandler(handler := Handler())
    try:
        with pytest.raises(ApplicationError) as raised:
            await ActivityEnvironment().run(judge, run)
    finally:
        log.removeHandler(handler)
    stored = Failure()
    await DataConverter.default.encode_failure(raised.value, stored)
    assert "the trace" not in str(stored)
    assert stored.cause.application_failure_info.type == "KeyError"
    assert "test_error_translation.py" in stored.cause.stack_trace
    ids = {"project_id": str(run.project_id), "run_id": str(run.run_id)}
    assert seen == [("Unexpected error", ids)]
