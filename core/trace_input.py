"""Traces as clients send them."""

from typing import Annotated, Any, ClassVar
from uuid import UUID, uuid4

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from core.filters import MAX_TAGS
from core.ids import SpanKind, SpanStatus, TraceStatus
from core.moments import Moment
from core.safe_text import Content, FreeForm, FreeObject, Label, Name, Tag

MAX_SPANS = 500

_MERGED = "Merged into the stored metadata; null removes a key."


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
        None, description="Id of the parent span. The parent may be unknown or arrive later."
    )
    name: Name
    kind: SpanKind = SpanKind.OTHER
    status: SpanStatus = SpanStatus.UNSET
    input: FreeForm = Field(None, description="Input of the step: any JSON.")
    output: FreeForm = Field(None, description="Output of the step: any JSON.")
    model: Label | None = Field(None, description="The model that an LLM span called.")
    token_usage: FreeObject | None = Field(
        None,
        description="Token counts: `total_tokens`, or `prompt_tokens` and `completion_tokens` "
        "(also as `input_tokens` and `output_tokens`).",
    )
    metadata: FreeObject = Field(default_factory=dict)
    started_at: Moment
    ended_at: Moment | None = None
    error: Content | None = Field(None, description="Error message of the step.")
    completion_start_time: Moment | None = Field(
        None, description="Arrival of the model's first token."
    )
    model_parameters: FreeObject | None = None
    cost: Cost = Field(
        None, description="In US dollars: a number, or an object with `total` or its parts."
    )


class TraceBody(BaseModel):
    """One execution of an agent: its input, its spans and its output."""

    model_config = ConfigDict(extra="ignore")

    trace_id: UUID = Field(
        default_factory=uuid4,
        description="Generated if absent. A trace with a known id is merged into the stored one.",
    )
    name: Name
    status: TraceStatus = TraceStatus.COMPLETED
    input: FreeForm = Field(None, description="Input of the agent: any JSON.")
    output: FreeForm = Field(None, description="Output of the agent: any JSON.")
    metadata: FreeObject = Field(default_factory=dict)
    started_at: Moment
    ended_at: Moment | None = None
    session_id: Label | None = Field(
        None, description="Traces with the same `session_id` form a session."
    )
    user_id: Label | None = None
    environment: Label | None = Field(None, description="Such as `production`.")
    release: Label | None = Field(None, description="The version of the agent.")
    tags: list[Tag] = Field(default_factory=list, max_length=MAX_TAGS)
    spans: list[SpanBody] = Field(default_factory=list, max_length=MAX_SPANS)


class _Changes(BaseModel):
    model_config = ConfigDict(extra="ignore")

    keeps_on_null: ClassVar[frozenset[str]]
    """Fields that cannot be null. A null in the request keeps the stored value."""

    def sent(self) -> dict[str, Any]:
        """The fields that the client sent, including nulls, which empty a field."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return {
            name: value
            for name, value in given.items()
            if value is not None or name not in self.keeps_on_null
        }


class TraceChanges(_Changes):
    """Sent fields replace stored ones; null empties a field that may be empty."""

    keeps_on_null = frozenset({"name", "status", "metadata", "tags"})

    name: Name | None = None
    status: TraceStatus | None = None
    input: FreeForm = None
    output: FreeForm = None
    metadata: FreeObject | None = Field(None, description=_MERGED)
    ended_at: Moment | None = None
    session_id: Label | None = None
    user_id: Label | None = None
    environment: Label | None = None
    release: Label | None = None
    tags: list[Tag] | None = Field(
        None, max_length=MAX_TAGS, description="Replaces all tags of the trace."
    )


class SpanChanges(_Changes):
    """Sent fields replace stored ones; null empties a field that may be empty."""

    keeps_on_null = frozenset({"name", "kind", "status", "metadata", "started_at"})

    parent_span_id: UUID | None = None
    name: Name | None = None
    kind: SpanKind | None = None
    status: SpanStatus | None = None
    input: FreeForm = None
    output: FreeForm = None
    model: Label | None = None
    token_usage: FreeObject | None = None
    metadata: FreeObject | None = Field(None, description=_MERGED)
    started_at: Moment | None = None
    ended_at: Moment | None = None
    error: Content | None = None
    completion_start_time: Moment | None = None
    model_parameters: FreeObject | None = None
    cost: Cost = None


class LoggedSpan(SpanBody):
    """The part of a span that comes from log records.

    The span itself arrives separately, before or after the records. The messages are added to those
    of the span. Until the span arrives, its parent is unknown: it is stored as its own parent, so
    it does not count as a root.
    """


class SpanDerivedTrace(TraceBody):
    """A trace derived from its spans. More spans may arrive later.

    Its fields follow from these spans (`core.trace_rollup`). The store derives them again from
    all spans that have arrived, unless a client has written the trace itself.
    """

    spans: list[SpanBody] = Field(min_length=1)

    @property
    def has_root(self) -> bool:
        return any(span.parent_span_id is None for span in self.spans)
