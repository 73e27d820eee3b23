"""Traces as clients send them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from core import clock
from core.filters import MAX_TAGS, Moment
from core.ids import SpanKind, SpanStatus, TraceStatus
from core.text import Content, FreeForm, FreeObject, Label, Name, Tag

MAX_SPANS = 500

# Far beyond any model, and low enough that sums over millions of spans stay within 64 bits.
_MOST_TOKENS = 2**40
_HIGHEST_COST = 1e12


def _cost_object(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"total": value}
    return value


Cost = Annotated[
    FreeObject | None,
    BeforeValidator(_cost_object),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "number"}, {"type": "null"}]}),
]


class SpanBody(BaseModel):
    model_config = ConfigDict(extra="ignore")

    span_id: UUID = Field(default_factory=uuid4, description="Made when absent.")
    parent_span_id: UUID | None = Field(
        None, description="The span this one ran in. It may be unknown, or come later."
    )
    name: Name
    kind: SpanKind = SpanKind.OTHER
    status: SpanStatus = SpanStatus.UNSET
    input: FreeForm = Field(None, description="What the step was given: any JSON.")
    output: FreeForm = Field(None, description="What the step answered: any JSON.")
    model: Label | None = Field(None, description="The model an LLM span called.")
    token_usage: FreeObject | None = Field(
        None,
        description="Token counts: `total_tokens`, or `prompt_tokens` and `completion_tokens` "
        "(also as `input_tokens` and `output_tokens`).",
    )
    metadata: FreeObject = Field(default_factory=dict)
    started_at: Moment
    ended_at: Moment | None = None
    error: Content | None = Field(None, description="What went wrong, in words.")
    completion_start_time: Moment | None = Field(
        None, description="When the model's first token arrived."
    )
    model_parameters: FreeObject | None = None
    cost: Cost = Field(
        None, description="In US dollars: a number, or an object with `total`, or with its parts."
    )


class TraceBody(BaseModel):
    """One run of an agent: what it was asked, what it did, what it answered."""

    model_config = ConfigDict(extra="ignore")

    trace_id: UUID = Field(
        default_factory=uuid4,
        description="Made when absent. The same id again is merged into the trace.",
    )
    name: Name
    status: TraceStatus = TraceStatus.COMPLETED
    input: FreeForm = Field(None, description="What the agent was asked: any JSON.")
    output: FreeForm = Field(None, description="What the agent answered: any JSON.")
    metadata: FreeObject = Field(default_factory=dict)
    started_at: Moment
    ended_at: Moment | None = None
    session_id: Label | None = Field(None, description="Traces that share it form a session.")
    user_id: Label | None = None
    environment: Label | None = Field(None, description="Such as `production`.")
    release: Label | None = Field(None, description="The version of the agent.")
    tags: list[Tag] = Field(default_factory=list, max_length=MAX_TAGS)
    spans: list[SpanBody] = Field(default_factory=list, max_length=MAX_SPANS)


# Of a change only the fields that were sent are ever read: the factories say that a field may be
# left out, and its type whether it may be null.


class TraceChanges(BaseModel):
    """What is sent replaces what is held; null empties a field that may be empty."""

    model_config = ConfigDict(extra="ignore")

    name: Name = Field(default_factory=str)
    status: TraceStatus = Field(default_factory=lambda: TraceStatus.COMPLETED)
    input: FreeForm = None
    output: FreeForm = None
    metadata: FreeObject = Field(default_factory=dict, description="Replaces all of it.")
    ended_at: Moment | None = None
    session_id: Label | None = None
    user_id: Label | None = None
    environment: Label | None = None
    release: Label | None = None
    tags: list[Tag] = Field(
        default_factory=list, max_length=MAX_TAGS, description="Replaces all of them."
    )


class SpanChanges(BaseModel):
    """What is sent replaces what is held; null empties a field that may be empty."""

    model_config = ConfigDict(extra="ignore")

    parent_span_id: UUID | None = None
    name: Name = Field(default_factory=str)
    kind: SpanKind = Field(default_factory=lambda: SpanKind.OTHER)
    status: SpanStatus = Field(default_factory=lambda: SpanStatus.UNSET)
    input: FreeForm = None
    output: FreeForm = None
    model: Label | None = None
    token_usage: FreeObject | None = None
    metadata: FreeObject = Field(default_factory=dict, description="Replaces all of it.")
    started_at: Moment = Field(default_factory=clock.now)
    ended_at: Moment | None = None
    error: Content | None = None
    completion_start_time: Moment | None = None
    model_parameters: FreeObject | None = None
    cost: Cost = None


def sent(changes: TraceChanges | SpanChanges) -> dict[str, Any]:
    """The fields a client wrote, null ones too."""
    return {name: getattr(changes, name) for name in changes.model_fields_set}


class ObservedTrace(TraceBody):
    """A trace of which no more than its spans is known, and perhaps not all of them yet.

    Its head is what these spans say (`core.heads`). In the store it is worked out again from all
    spans that have come; the head of a trace that a client wrote as such stays as it is.
    """

    spans: list[SpanBody] = Field(min_length=1)

    @property
    def has_root(self) -> bool:
        return any(span.parent_span_id is None for span in self.spans)


def latency_ms(started_at: datetime, ended_at: datetime | None) -> float | None:
    """None while it runs, and where clocks disagree so far that it ended before it began."""
    if ended_at is None or ended_at < started_at:
        return None
    return round((ended_at - started_at).total_seconds() * 1000, 3)


@dataclass(frozen=True, slots=True)
class Tokens:
    total: int = 0
    prompt: int = 0
    completion: int = 0


def tokens(usage: Mapping[str, Any] | None) -> Tokens:
    """What a span's usage states; the total is the sum of its parts where it is not stated.

    0 where it says nothing usable.
    """
    if not usage:
        return Tokens()
    prompt = _count(usage.get("prompt_tokens", usage.get("input_tokens", usage.get("input"))))
    completion = _count(
        usage.get("completion_tokens", usage.get("output_tokens", usage.get("output")))
    )
    total = _count(usage.get("total_tokens", usage.get("total")))
    if total is None:
        total = (prompt or 0) + (completion or 0)
    return Tokens(total, prompt or 0, completion or 0)


def _count(value: object) -> int | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS:
        return int(value)
    return None


def dollars(cost: Mapping[str, Any] | None) -> float:
    """The total a span's cost states, or the sum of its parts."""
    if not cost:
        return 0.0
    total = _amount(cost.get("total", cost.get("total_cost")))
    if total is not None:
        return total
    return math.fsum(_amount(part) or 0.0 for part in cost.values())


def _amount(value: object) -> float | None:
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value < _HIGHEST_COST
    ):
        return float(value)
    return None
