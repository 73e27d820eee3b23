"""Describes in plain sentences how a trace ended."""

from core.ids import SpanKind, SpanStatus, TraceStatus
from evals.transcript.facts import Facts
from evals.transcript.numbering import MessageStep, Slot

_MODEL_STEPS = (SpanKind.LLM, MessageStep.ASSISTANT)


def ending(facts: Facts) -> str:
    """Refers to steps by number, and contains no text of the trace."""
    trace = facts.trace
    slots = facts.numbering.slots
    last_message = next((slot for slot in reversed(slots) if _speaks(slot)), None)
    called = next((slot for slot in reversed(slots) if slot.call is not None), None)
    sentences = [_status(facts)]
    if called is not None and called.call is not None and not called.call.carried_out:
        sentences.append(f"The call in [{called.number}] has no answer on record.")
    if last_message is None:
        sentences.append("No answer to the user is on record.")
    elif called is not None and called.number > last_message.number:
        sentences.append(
            f"The last message to the user is in [{last_message.number}]; "
            f"the call in [{called.number}] follows it."
        )
    elif last_message.kind == MessageStep.OUTPUT:
        sentences.append(f"The trace's output is in [{last_message.number}].")
    else:
        sentences.append(f"The last message to the user is in [{last_message.number}].")
    failed = next(
        (
            slot
            for slot in reversed(slots)
            if slot.own
            and slot.place is not None
            and trace.spans[slot.place].status is SpanStatus.ERROR
        ),
        None,
    )
    last = max((slot.number for slot in (last_message, called) if slot is not None), default=0)
    if failed is not None and (failed.number >= last or facts.failed):
        sentences.append(f"Step [{failed.number}] ended in an error.")
    return " ".join(part for part in sentences if part)


def _status(facts: Facts) -> str:
    if facts.unfinished:
        return "The trace was still running when it was recorded."
    if facts.trace.status is TraceStatus.ERROR:
        return "The trace ended in an error."
    return "The trace was completed."


def _speaks(slot: Slot) -> bool:
    if slot.kind == MessageStep.OUTPUT:
        return True
    return slot.kind in _MODEL_STEPS and any(
        message.role == "assistant" and message.text for message in slot.messages
    )
