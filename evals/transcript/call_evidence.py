"""Everything that a trace shows about one tool call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evals.transcript.message import Message
from evals.transcript.tool_shapes import ToolCallRequest


@dataclass(eq=False, slots=True)
class CallEvidence:
    """All records of one call in the trace.

    `asked_in` is the index of the span whose model requested the call, `span_place` the index of
    the call's own span. `inner_places` are spans of other tracers for the same call. `batch`
    numbers the messages that request calls.
    """

    name: str
    request: ToolCallRequest | None = None
    asked_in: int | None = None
    batch: int = 0
    answer: Message | None = None
    span_place: int | None = None
    inner_places: list[int] = field(default_factory=list)
    earlier: bool = False


class CallEvidences(NamedTuple):
    """`by_request` and `answers` are keyed by the identity of requests and of tool messages.

    `by_span` is keyed by the index of each TOOL span. `answers` has only answers to known calls.
    """

    all: Sequence[CallEvidence]
    by_span: Mapping[int, CallEvidence]
    by_request: Mapping[int, CallEvidence]
    answers: frozenset[int]
