"""The activity edge: which errors are worth another attempt, and when."""

import functools
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from core import dialect
from core.errors import AssayError, JudgeBusy, JudgeUnusable, NotFound

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

RUN_STOPPED: Final = "RunStopped"
"""Type of an error that no pair of the run can survive."""

UNEXPECTED: Final = "Unexpected"

LONGEST_PAUSE: Final = 30.0
NEXT_TURN: Final = 0.1
BUG_ATTEMPTS: Final = 3
"""An error nobody foresaw is most likely a bug: more attempts would only delay the news."""


class TurnOver(Exception):
    """The work is not done, but others have waited long enough: it goes on in another attempt."""


def translated(work: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Turns every error of an activity into one whose retry is decided here."""

    @functools.wraps(work)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await work(*args, **kwargs)
        except ApplicationError:
            raise
        except Exception as error:  # the one edge of every activity
            failure = translate(error, attempt=activity.info().attempt)
            if failure.type == UNEXPECTED:
                raise failure from error
            # Temporal keeps 4 KB of a failure that it will try again: with the causes of a
            # database error, and their stacks, nothing else would be left of it.
            raise failure from None

    return run


def translate(error: Exception, *, attempt: int) -> ApplicationError:
    """`attempt` counts from 1."""
    match error:
        case JudgeBusy():
            return ApplicationError(
                error.message,
                type="JudgeRateLimited" if error.rate_limited else "JudgeUnreachable",
                next_retry_delay=timedelta(seconds=pause(attempt, asked=error.retry_after)),
                category=ApplicationErrorCategory.BENIGN,
            )
        case TurnOver():
            return ApplicationError(
                "A long session: what is judged so far is kept, and judging goes on from there.",
                type="TurnOver",
                next_retry_delay=timedelta(seconds=NEXT_TURN),
                category=ApplicationErrorCategory.BENIGN,
            )
        case JudgeUnusable():
            return ApplicationError(error.message, type=RUN_STOPPED, non_retryable=True)
        case NotFound():
            return ApplicationError(error.message, type="NotFound", non_retryable=True)
        case AssayError():
            return ApplicationError(error.message, type=type(error).__name__, non_retryable=True)
        case _ if dialect.is_away(error):
            # Without the statement, which may carry what a trace says.
            log.warning("The database cannot be used: %s", getattr(error, "orig", None) or error)
            return ApplicationError(
                f"The database cannot be used just now ({_kind(error)}); trying again.",
                type="DatabaseUnavailable",
                next_retry_delay=timedelta(seconds=pause(attempt)),
            )
        case _:
            return ApplicationError(
                f"Unexpected {type(error).__name__}; the worker's log has the details.",
                type=UNEXPECTED,
                non_retryable=attempt >= BUG_ATTEMPTS,
            )


def pause(attempt: int, *, asked: float | None = None) -> float:
    """Seconds until the next attempt: doubling, spread, and never less than the provider asked."""
    grown = min(LONGEST_PAUSE, 2.0 ** min(attempt - 1, 10))
    spread = grown * random.uniform(0.5, 1.0)
    if asked is None:
        return spread
    # Everybody was told the same moment: those who waited longest should not all come at once.
    return max(asked, 0.1) + random.uniform(0.0, min(grown, 5.0))


def _kind(error: Exception) -> str:
    if isinstance(error, DBAPIError) and error.orig is not None:
        return type(error.orig).__name__
    return type(error).__name__
