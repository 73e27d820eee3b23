"""The activity edge: decides which errors are retried, and when."""

import functools
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Final, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.work_ids import working_on
from core.db import dialect
from core.errors import AssayError, JudgeBusy, JudgeUnusable, NoPermit, NotFound, PermitWait
from core.telemetry.error_text import described
from core.usage import Usage

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

RUN_STOPPED: Final = "RunStopped"
"""Type of an error that fails every pair of the run."""

UNEXPECTED: Final = "Unexpected"

MAX_PAUSE_SECONDS: Final = 30.0
MAX_RETRY_AFTER_SECONDS: Final = 3600.0
"""Maximum pause, even if a provider asks for a longer pause."""

TIME_SLICE_PAUSE_SECONDS: Final = 0.1

MAX_BOOKKEEPING_ATTEMPTS: Final = 20
"""Attempts at a bookkeeping activity before an unexpected error is final.

A run must not fail because the database is unavailable for a few minutes.
"""


class TimeSliceExpired(Exception):
    """The attempt's time slice is over; the next attempt continues where this one stopped."""


class RefusedOnce(Exception):
    """The provider refused this pair; the refusal may concern only this pair or this moment."""


def translate_errors(work: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Translates every error of an activity into an error with a retry decision."""

    @functools.wraps(work)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with working_on(args):
            try:
                return await work(*args, **kwargs)
            except ApplicationError:
                raise
            except Exception as error:  # noqa: BLE001 - the one edge of every activity
                attempt = activity.info().attempt
                final = attempt >= MAX_BOOKKEEPING_ATTEMPTS
                failure = translate(error, attempt=attempt, final=final)
                raise failure from cause_of(failure, error)

    return run


def cause_of(failure: ApplicationError, error: Exception) -> Exception | None:
    """The cause that Temporal stores with the failure.

    Temporal keeps 4 KB of a failure that is retried. The causes of a database error, with their
    stack traces, would fill them. Omits the text of the error, which may quote a trace.
    """
    if failure.type != UNEXPECTED:
        return None
    cause = ApplicationError(described(error), type=type(error).__name__)
    return cause.with_traceback(error.__traceback__)


def translate(error: Exception, *, attempt: int, final: bool = False) -> ApplicationError:
    """`attempt` counts from 1. `final`: an unexpected error is not retried."""
    match error:
        case JudgeBusy():
            return ApplicationError(
                error.message,
                type=_type_of(error),
                next_retry_delay=timedelta(seconds=_pause(error, attempt)),
                category=ApplicationErrorCategory.BENIGN,
            )
        case TimeSliceExpired():
            return ApplicationError(
                "A long session: its signals so far are stored, and the next attempt continues.",
                type="TurnOver",
                next_retry_delay=timedelta(seconds=TIME_SLICE_PAUSE_SECONDS),
                category=ApplicationErrorCategory.BENIGN,
            )
        case RefusedOnce():
            return ApplicationError(
                str(error),
                type="JudgeRefused",
                next_retry_delay=timedelta(seconds=retry_delay(attempt)),
                category=ApplicationErrorCategory.BENIGN,
            )
        case JudgeUnusable():
            return ApplicationError(error.message, type=RUN_STOPPED, non_retryable=True)
        case NotFound():
            return ApplicationError(error.message, type="NotFound", non_retryable=True)
        case AssayError():
            return ApplicationError(error.message, type=type(error).__name__, non_retryable=True)
        case _ if dialect.is_transient(error):
            # Logs no SQL statement, because a statement may contain the content of a trace.
            log.warning("The database cannot be used: %s", getattr(error, "orig", None) or error)
            return ApplicationError(
                f"The database cannot be used now ({_kind(error)}); trying again.",
                type="DatabaseUnavailable",
                next_retry_delay=timedelta(seconds=retry_delay(attempt)),
            )
        case _:
            log.error("Unexpected error", exc_info=error)
            return ApplicationError(
                f"Unexpected {type(error).__name__}; the worker's log has the details.",
                type=UNEXPECTED,
                non_retryable=final,
            )


def with_usage(ended: ApplicationError, usage: Usage) -> ApplicationError:
    """The final error of a pair, whose details state the usage of all attempts."""
    return ApplicationError(
        ended.message, asdict(usage), type=ended.type, non_retryable=ended.non_retryable
    )


def _type_of(error: JudgeBusy) -> str:
    """Read by `core.temporal.run_activity`."""
    if isinstance(error, NoPermit):
        if error.cause is PermitWait.CONCURRENCY:
            return "JudgeNoPermit"
        if error.cause is PermitWait.BUDGET:
            return "BudgetWait"
    return "JudgeRateLimited" if error.rate_limited else "JudgeUnreachable"


def _pause(error: JudgeBusy, attempt: int) -> float:
    if isinstance(error, NoPermit) and error.cause is not PermitWait.OUTAGE:
        # The pause does not grow, because the rate control states when the next call may begin.
        return error.retry_after * random.uniform(1.0, 1.1)
    return retry_delay(attempt, requested=error.retry_after)


def retry_delay(attempt: int, *, requested: float | None = None) -> float:
    """Seconds until the next attempt: doubled per attempt, with jitter, at least what the provider
    asks for.
    """
    grown = min(MAX_PAUSE_SECONDS, 2.0 ** min(attempt - 1, 10))
    jittered = grown * random.uniform(0.5, 1.0)
    if requested is None:
        return jittered
    # The rate control tells every caller the same time, so the jitter grows with the pair's wait.
    at_least = min(max(requested, 0.1), MAX_RETRY_AFTER_SECONDS)
    return at_least + random.uniform(0.0, min(grown, 5.0))


def _kind(error: Exception) -> str:
    if isinstance(error, DBAPIError) and error.orig is not None:
        return type(error.orig).__name__
    return type(error).__name__
