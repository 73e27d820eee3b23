"""The reason why a run stopped: the message of the first error."""

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.error_translation import RUN_STOPPED


def stop_reason(error: BaseException) -> str:
    """The message of the first error, which activities, batches and runs pass on."""
    cause = _first(error)
    if isinstance(cause, ApplicationError):
        return cause.message
    return f"The run was stopped from outside ({cause or error})."


def headline(error: BaseException) -> str:
    """The reason and the pair that met it first, for the top of the run's page in Temporal."""
    named: BaseException | None = error
    while named is not None:
        if isinstance(named, ApplicationError) and named.type == RUN_STOPPED and named.details:
            return f"{named.message} First met by {named.details[0]}."
        named = named.__cause__
    return stop_reason(error)


def _first(error: BaseException) -> BaseException | None:
    cause = error.__cause__ if isinstance(error, FailureError) else None
    while isinstance(cause, FailureError) and cause.__cause__ is not None:
        cause = cause.__cause__
    return cause
