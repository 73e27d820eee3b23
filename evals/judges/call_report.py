"""Reports the outcome of each call to the rate control and to telemetry."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import JudgeFailed
from core.telemetry import tracing
from core.telemetry.measures import CallOutcome, count_usage, measured_call
from core.usage import Usage
from evals.judges.fault_meaning import Meaning, RequestSent, meaning
from evals.judges.fault_parsing import Fault
from evals.judges.rate_control import Permit
from evals.judges.request_faults import answer_limit, refused_option


@contextmanager
def reported(permit: Permit, sent: RequestSent) -> Iterator[None]:
    about = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": sent.provider,
        "gen_ai.request.model": sent.model,
    }
    with (
        tracing.span(f"judge {sent.provider}", "CLIENT", about) as span,
        measured_call(sent.provider, sent.model) as call,
    ):
        try:
            yield
        except Fault as fault:
            call.outcome = _report(permit, fault, sent)
            raise
        except JudgeFailed:
            permit.answered()
            call.outcome = CallOutcome.REFUSED
            raise
        else:
            permit.succeeded()
            call.outcome = CallOutcome.ANSWERED
        finally:
            span.set({"assay.outcome": call.outcome})


def count_call(sent: RequestSent, usage: Usage) -> None:
    """Counts the usage of a call that is being reported."""
    count_usage(sent.provider, sent.model, usage)
    tracing.annotate(
        {
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
        }
    )


def _report(permit: Permit, fault: Fault, sent: RequestSent) -> CallOutcome:
    kind = meaning(fault, sent)
    if refused_option(fault, sent) is not None or answer_limit(fault) is not None:
        permit.answered()
        return CallOutcome.REFUSED
    if kind is Meaning.RATE_LIMITED:
        permit.refused(fault.retry_after)
        return CallOutcome.RATE_LIMITED
    if kind is Meaning.BUSY:
        permit.failed()
        return CallOutcome.UNAVAILABLE
    permit.answered()
    return CallOutcome.REFUSED
