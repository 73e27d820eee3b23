"""Adds the run of an activity to its log lines and its span."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from activities.payloads import Bundle, FailedPair, PairRef, RunOutcome, RunRef, TargetRange
from core.telemetry import log_ids, tracing


@contextmanager
def working_on(arguments: Iterable[object]) -> Iterator[None]:
    """Names the run of the first argument that has one."""
    run = next((found for found in map(_run_of, arguments) if found is not None), None)
    if run is None:
        with log_ids.scope():
            yield
        return
    with log_ids.scope(project_id=run.project_id, run_id=run.run_id):
        tracing.annotate({"assay.project_id": str(run.project_id), "assay.run_id": str(run.run_id)})
        yield


def _run_of(argument: object) -> RunRef | None:
    match argument:
        case RunRef():
            return argument
        case Bundle() | PairRef() | TargetRange() | RunOutcome():
            return argument.run
        case FailedPair():
            return argument.pair.run
        case _:
            return None


def name_pair(metric: str, trace_id: str | None) -> None:
    """Adds the pair to the log lines and the span.

    Omits ids of sessions, which may be names of people.
    """
    tracing.annotate({"assay.metric": metric})
    if trace_id is not None:
        log_ids.put(trace_id=trace_id)
        tracing.annotate({"assay.trace_id": trace_id})
