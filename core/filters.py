"""Filters: which traces, sessions or scores a run judges or a list shows.

Each field is declared once, together with its condition. `core.db.predicates` derives from it every
SQL form of the filter; the totals of lists, the matching of monitors and the command line's help
follow from the same declaration.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, TypeVar
from uuid import UUID

from pydantic import ConfigDict, Field

from core.ids import ScoreSource, ScoreStatus, ScoreType, TargetType, TraceStatus
from core.moments import Moment, MomentRange
from core.safe_text import Label, NamePart

MAX_TAGS: Final = 1000
"""Below the parameter limit of a statement on both databases."""


class Operator(StrEnum):
    IS = "is"
    CONTAINS = "contains"  # ignoring case
    FROM = "from"  # this moment or later
    BEFORE = "before"


@dataclass(frozen=True, slots=True)
class Compare:
    """Compares a column of the row with the field's value.

    `selective`: fewer rows of a project share a value of this column than share a tag.
    """

    column: str
    operator: Operator = Operator.IS
    selective: bool = False


@dataclass(frozen=True, slots=True)
class AnyTag:
    """The trace carries any of the field's tags."""


@dataclass(frozen=True, slots=True)
class SomeTrace:
    """Some trace of the session fulfills the condition.

    Conditions that share a `group` must be fulfilled by the same trace.
    """

    condition: Compare | AnyTag
    group: str = ""


@dataclass(frozen=True, slots=True)
class FirstTrace:
    """The earliest trace of the session started in the range that the operator and value give."""

    operator: Operator


@dataclass(frozen=True, slots=True)
class HasError:
    """Whether some trace of the session ended in an error."""


@dataclass(frozen=True, slots=True)
class MinTraceCount:
    """The session has at least this many traces."""


Condition = Compare | AnyTag | SomeTrace | FirstTrace | HasError | MinTraceCount
Of = TypeVar("Of")


class Filters(MomentRange):
    """All fields are optional and combined with AND."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def given(self, kind: type[Of]) -> Iterator[tuple[Of, Any]]:
        """The conditions of this kind that have a value, each with the value."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if value is not None and value != []:
                yield from ((mark, value) for mark in field.metadata if isinstance(mark, kind))


class _TraceFields(Filters):
    status: Annotated[
        TraceStatus | None,
        Compare("status"),
        Field(description="Traces in this status."),
    ] = None
    session_id: Annotated[
        Label | None,
        Compare("session_id", selective=True),
        Field(description="Traces of exactly this session."),
    ] = None
    user_id: Annotated[
        Label | None,
        Compare("user_id", selective=True),
        Field(description="Traces of exactly this user."),
    ] = None
    tags: Annotated[
        list[Label] | None,
        AnyTag(),
        Field(max_length=MAX_TAGS, description="Traces that carry any of these tags."),
    ] = None
    name: Annotated[
        NamePart | None,
        Compare("name", Operator.CONTAINS),
        Field(description="Traces whose name contains this text, ignoring case."),
    ] = None


class TraceFilters(_TraceFields):
    """Which traces a run judges. All fields are optional and combined with AND."""

    range_fields = ("date_from", "date_to")

    date_from: Annotated[
        Moment | None,
        Compare("started_at", Operator.FROM),
        Field(description="Traces that started at this moment or later."),
    ] = None
    date_to: Annotated[
        Moment | None,
        Compare("started_at", Operator.BEFORE),
        Field(description="Traces that started before this moment."),
    ] = None


class TraceListFilters(_TraceFields):
    """Which traces a list shows. All fields are optional and combined with AND."""

    range_fields = ("started_after", "started_before")

    started_after: Annotated[
        Moment | None,
        Compare("started_at", Operator.FROM),
        Field(description="Traces that started at this moment or later."),
    ] = None
    started_before: Annotated[
        Moment | None,
        Compare("started_at", Operator.BEFORE),
        Field(description="Traces that started before this moment."),
    ] = None


class _SessionFields(Filters):
    user_id: Annotated[
        Label | None,
        SomeTrace(Compare("user_id")),
        Field(description="Sessions with a trace of this user."),
    ] = None
    has_error: Annotated[
        bool | None,
        HasError(),
        Field(description="Whether a trace of the session ended in an error."),
    ] = None
    tags: Annotated[
        list[Label] | None,
        SomeTrace(AnyTag()),
        Field(
            max_length=MAX_TAGS,
            description="Sessions with a trace that carries any of these tags.",
        ),
    ] = None


class SessionFilters(_SessionFields):
    """Which sessions a run judges. All fields are optional and combined with AND."""

    range_fields = ("date_from", "date_to")

    date_from: Annotated[
        Moment | None,
        SomeTrace(Compare("started_at", Operator.FROM), group="period"),
        Field(description="Sessions with a trace that started at this moment or later."),
    ] = None
    date_to: Annotated[
        Moment | None,
        SomeTrace(Compare("started_at", Operator.BEFORE), group="period"),
        Field(
            description="Sessions with a trace that started before this moment; with `date_from`, "
            "with one that started between the two."
        ),
    ] = None
    min_trace_count: Annotated[
        int | None,
        MinTraceCount(),
        Field(ge=1, le=2**31 - 1, description="Sessions of at least this many traces."),
    ] = None


class SessionListFilters(_SessionFields):
    """Which sessions a list shows. All fields are optional and combined with AND."""

    range_fields = ("started_after", "started_before")

    started_after: Annotated[
        Moment | None,
        FirstTrace(Operator.FROM),
        Field(description="Sessions that began at this moment or later."),
    ] = None
    started_before: Annotated[
        Moment | None,
        FirstTrace(Operator.BEFORE),
        Field(description="Sessions that began before this moment."),
    ] = None
    query: Annotated[
        NamePart | None,
        Compare("session_id", Operator.CONTAINS),
        Field(description="Sessions whose id contains this text, ignoring case."),
    ] = None


class ScoreFilters(Filters):
    """Which scores a list shows. All fields are optional and combined with AND."""

    range_fields = ("date_from", "date_to")
    target_type: ClassVar[TargetType]

    name: Annotated[
        Label | None, Compare("name"), Field(description="Scores by exactly this metric.")
    ] = None
    source: Annotated[
        ScoreSource | None, Compare("source"), Field(description="Scores made this way.")
    ] = None
    status: Annotated[
        ScoreStatus | None, Compare("status"), Field(description="Scores in this status.")
    ] = None
    data_type: Annotated[
        ScoreType | None,
        Compare("data_type"),
        Field(description="Scores with values of this type."),
    ] = None
    eval_run_id: Annotated[
        UUID | None, Compare("eval_run_id"), Field(description="Scores of this run.")
    ] = None
    date_from: Annotated[
        Moment | None,
        Compare("created_at", Operator.FROM),
        Field(description="Scores made at this moment or later."),
    ] = None
    date_to: Annotated[
        Moment | None,
        Compare("created_at", Operator.BEFORE),
        Field(description="Scores made before this moment."),
    ] = None


class TraceScoreFilters(ScoreFilters):
    target_type = TargetType.TRACE

    trace_id: Annotated[
        UUID | None, Compare("target_id"), Field(description="Scores of this trace.")
    ] = None
    environment: Annotated[
        Label | None,
        Compare("environment"),
        Field(description="Scores of traces from exactly this environment."),
    ] = None


class SessionScoreFilters(ScoreFilters):
    target_type = TargetType.SESSION

    session_id: Annotated[
        Label | None,
        Compare("target_id"),
        Field(description="Scores of exactly this session."),
    ] = None
