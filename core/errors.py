"""Every error Assay raises on purpose.

    AssayError
    ├── BadRequest           400  the body is not what its protocol asks for
    ├── Unauthenticated      401  no usable API key
    ├── Forbidden            403  the key may not do this
    ├── NotFound             404  no such row in this project
    ├── TooSlow              408  the body came too slowly
    ├── Conflict             409  the row is not in a state that allows this
    ├── TooLarge             413  the body is above the configured size
    ├── UnsupportedMedia     415  the body is of a type the endpoint does not read
    ├── Invalid              422  the request contradicts itself or the store
    ├── RateLimited          429  too many requests from this key
    ├── Overloaded           503  this process has no room for the request now
    ├── Unavailable          503  a needed server is unavailable; no change is half-written
    ├── Misconfigured             a setting is wrong; the process must not start
    ├── NotStarted                a process of the embedded stack ended before it served
    ├── BudgetReached             the budget has no room for the next call: the run is paused
    └── JudgeError                a judge call that gave no usable answer
        ├── JudgeBusy             worth asking again later (rate limit, outage, time-out)
        │   └── NoPermit no call was made: the worker's rate control allowed none
        ├── JudgeFailed           final for this pair (refusal, answer that never validates)
        └── JudgeUnusable         the judge refuses the caller (bad key, no quota, unknown model)

A message is written for the person who can act on it. It never carries a
credential, a prompt, or the content of a trace. The HTTP edge (`api.errors`)
and the activity edge (`activities.error_translation`) are the only places that
translate these errors.
"""

from enum import StrEnum
from typing import ClassVar, Self

from core.usage import Usage


class AssayError(Exception):
    http_status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequest(AssayError):
    http_status = 400


class Unauthenticated(AssayError):
    http_status = 401


class Forbidden(AssayError):
    http_status = 403


class NotFound(AssayError):
    http_status = 404

    def __init__(self, noun: str, row_id: object) -> None:
        super().__init__(f"No {noun} {row_id} in this project.")


class TooSlow(AssayError):
    http_status = 408


class Conflict(AssayError):
    http_status = 409


class TooLarge(AssayError):
    http_status = 413


class UnsupportedMedia(AssayError):
    http_status = 415


class Invalid(AssayError):
    http_status = 422


class RateLimited(AssayError):
    http_status = 429

    def __init__(self, message: str, *, retry_after: float) -> None:
        """`retry_after` is in seconds."""
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(AssayError):
    http_status = 503

    def __init__(self, message: str, *, retry_after: float) -> None:
        """`retry_after` is in seconds."""
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(AssayError):
    http_status = 503

    def __init__(self, server: str, advice: str) -> None:
        super().__init__(f"{server} cannot be reached. {advice}")
        self.server = server


class Misconfigured(AssayError):
    pass


class NotStarted(AssayError):
    pass


class BudgetReached(AssayError):
    """`run_id`: the run of the call. `spent`: usage of the calls for the same question before."""

    def __init__(self, run_id: object) -> None:
        super().__init__("The budget has no room for the next judge call; the run is paused.")
        self.run_id = run_id
        self.spent = Usage()


class JudgeError(AssayError):
    """`provider` is the provider's key in `/evaluations/providers`.

    `spent`: usage of the calls that gave no answer. `answered`: usage of the answers before the
    error, which are stored. A retry finds these answers and pays for them again, so only a final
    failure adds `answered`.
    """

    def __init__(self, message: str, *, provider: str) -> None:
        super().__init__(message)
        self.provider = provider
        self.spent = Usage()
        self.answered = Usage()

    @property
    def paid(self) -> Usage:
        """The usage that a final failure records."""
        return self.spent + self.answered

    def having_spent(self, usage: Usage, answered: Usage | None = None) -> Self:
        """Returns a copy, because several waiters of one call share the error and only one of them
        pays.
        """
        twin = type(self).__new__(type(self))
        twin.args = self.args
        twin.__dict__.update(self.__dict__)
        twin.spent = usage
        twin.answered = answered or Usage()
        return twin


class JudgeBusy(JudgeError):
    def __init__(
        self,
        message: str,
        *,
        provider: str,
        retry_after: float | None = None,
        rate_limited: bool = False,
    ) -> None:
        """`retry_after`: seconds that the provider asked for; None if it named no time."""
        super().__init__(message, provider=provider)
        self.retry_after = retry_after
        self.rate_limited = rate_limited


class PermitWait(StrEnum):
    """Why no judge call may begin yet."""

    CONCURRENCY = "concurrency"
    """The limit of open calls is reached; the pair waits for the end of a call."""
    RATE_LIMIT = "rate_limit"
    """The provider limited calls recently, and all calls that it allows are taken."""
    BUDGET = "budget"
    """The open calls may use up the run's budget; the pair waits for their bills."""
    OUTAGE = "outage"
    """All recent calls of the model failed; one probe at a time tests whether the model answers
    again.
    """


class NoPermit(JudgeBusy):
    """No call was made, and none may begin soon, so the activity frees its slot at once.

    `retry_after` is when a permit is expected, in seconds. The wait counts as an outage only for
    `PermitWait.OUTAGE`. For the other values `rate_limited` is true, so that the pair may wait as
    long as for a rate limit.
    """

    retry_after: float

    def __init__(
        self, message: str, *, provider: str, retry_after: float, cause: PermitWait
    ) -> None:
        super().__init__(
            message,
            provider=provider,
            retry_after=retry_after,
            rate_limited=cause is not PermitWait.OUTAGE,
        )
        self.cause = cause


class JudgeFailed(JudgeError):
    pass


class JudgeUnusable(JudgeError):
    def __init__(
        self, message: str, *, provider: str, unmistakable: bool = True, at_once: bool = True
    ) -> None:
        """`at_once`: no pair of the run can succeed, so the run stops at once. If False, the run
        stops after refusals of several targets in a row.

        `unmistakable`: the provider gave a reason. If False, the refusals must also last for some
        seconds.
        """
        super().__init__(message, provider=provider)
        self.unmistakable = unmistakable
        self.at_once = at_once
