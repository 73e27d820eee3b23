"""Every error Assay raises on purpose.

    AssayError
    ├── BadRequest           400  the body is not what its protocol asks for
    ├── Unauthenticated      401  no usable API key
    ├── Forbidden            403  the key may not do this
    ├── NotFound             404  no such row in this project
    ├── Conflict             409  the row is not in a state that allows this
    ├── TooLarge             413  the body is above the configured size
    ├── UnsupportedMedia     415  the body is of a type the endpoint does not read
    ├── Invalid              422  the request contradicts itself or the store
    ├── RateLimited          429  too many requests from this key
    ├── Unavailable          503  a needed server is away; nothing was half-written
    ├── Misconfigured             a setting is wrong; the process must not start
    ├── NotStarted                a process of the embedded stack ended before it served
    └── JudgeError                a judge call that gave no usable answer
        ├── JudgeBusy             worth asking again later (rate limit, outage, time-out)
        ├── JudgeFailed           final for this pair (refusal, answer that never validates)
        └── JudgeUnusable         fatal for the run (bad key, no quota, unknown model)

A message is written for the person who can act on it. It never carries a
credential, a prompt, or the content of a trace. The HTTP edge (`api.errors`)
and the activity edge (`activities.failures`) are the only places that
translate these errors.
"""

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

    def __init__(self, noun: str, id: object) -> None:
        super().__init__(f"No {noun} {id} in this project.")


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


class Unavailable(AssayError):
    http_status = 503

    def __init__(self, server: str, advice: str) -> None:
        super().__init__(f"{server} cannot be reached. {advice}")
        self.server = server


class Misconfigured(AssayError):
    pass


class NotStarted(AssayError):
    pass


class JudgeError(AssayError):
    """`provider` is the key under which `/evaluations/providers` lists it.

    `spent`: calls that were paid for before it came to this.
    """

    def __init__(self, message: str, *, provider: str) -> None:
        super().__init__(message)
        self.provider = provider
        self.spent = Usage()

    def having_spent(self, usage: Usage) -> Self:
        """A copy: one error may be told to several who shared a call, and one of them pays."""
        twin = type(self).__new__(type(self))
        twin.args = self.args
        twin.__dict__.update(self.__dict__)
        twin.spent = usage
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
        """`retry_after`: seconds, as the provider asked for; None when it said nothing."""
        super().__init__(message, provider=provider)
        self.retry_after = retry_after
        self.rate_limited = rate_limited


class JudgeFailed(JudgeError):
    pass


class JudgeUnusable(JudgeError):
    pass
