"""Numbered steps of a transcript, for findings and pages that refer to them."""

from dataclasses import dataclass

from core.ids import SpanId


@dataclass(frozen=True, slots=True)
class StepRef:
    """One numbered step of a transcript.

    Numbers start at 1 and have no gaps.

    `kind` is a span's kind; USER or SYSTEM for a message that a model read; INPUT or OUTPUT for the
    trace's own input or output if no other step shows it. `span_id` is the span behind the step:
    for a message the model span that first read it, for a tool call without a span the model span
    that requested it; None if the trace has no such span. `text` is the whole text of the step.
    """

    number: int
    kind: str
    name: str
    span_id: SpanId | None
    text: str
