"""Filters: each field carries the SQL predicate it stands for."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from sqlalchemy import ColumnElement, exists, select
from sqlmodel import col

from core import dialect
from core.ids import ProjectId, ScoreSource, ScoreStatus, ScoreType, TargetType, TraceStatus
from core.tables import Score, Trace, TraceTag
from core.text import PlainText

MAX_TAGS = 1000
"""Below what one statement may carry as parameters on any database."""


def _parse_moment(value: object) -> object:
    if value is None:
        return None
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        parsed = None
    if not isinstance(parsed, datetime):
        raise ValueError("must be an ISO 8601 date or time, as a string")
    try:
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


Moment = Annotated[datetime, BeforeValidator(_parse_moment)]
"""An ISO 8601 date or time; UTC where it names no offset, UTC always once read."""


class _Where:
    """What a field's value asks of a row; of the project too, where the store must be told."""

    def __init__(self, predicate: Callable[[Any, UUID], ColumnElement[bool]]) -> None:
        self.predicate = predicate


def _has_any_tag(tags: list[str], project_id: UUID) -> ColumnElement[bool]:
    # Rather than by EXISTS, which SQLite would look up for each trace.
    return col(Trace.id).in_(
        select(col(TraceTag.trace_id)).where(
            col(TraceTag.project_id) == project_id, col(TraceTag.tag).in_(tags)
        )
    )


def _check_order(**bounds: datetime | None) -> None:
    (lower, start), (upper, end) = bounds.items()
    if start and end and start >= end:
        raise ValueError(f"{lower} must be before {upper}")


class _Filters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def predicates(self, project_id: UUID) -> list[ColumnElement[bool]]:
        """Of the fields that are given."""
        found: list[ColumnElement[bool]] = []
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if value is None or value == []:
                continue
            found += [
                marker.predicate(value, project_id)
                for marker in field.metadata
                if isinstance(marker, _Where)
            ]
        return found


class _TraceFields(_Filters):
    status: Annotated[
        TraceStatus | None,
        _Where(lambda v, _: col(Trace.status) == v.value),
        Field(description="Traces in this status."),
    ] = None
    session_id: Annotated[
        PlainText | None,
        _Where(lambda v, _: col(Trace.session_id) == v),
        Field(description="Traces of exactly this session."),
    ] = None
    user_id: Annotated[
        PlainText | None,
        _Where(lambda v, _: col(Trace.user_id) == v),
        Field(description="Traces of exactly this user."),
    ] = None
    tags: Annotated[
        list[PlainText] | None,
        _Where(_has_any_tag),
        Field(max_length=MAX_TAGS, description="Traces that carry any of these tags."),
    ] = None
    name: Annotated[
        PlainText | None,
        _Where(lambda v, _: dialect.contains(col(Trace.name), v)),
        Field(description="Traces whose name contains this, whatever the case."),
    ] = None

    def where(self, project_id: ProjectId | UUID) -> list[ColumnElement[bool]]:
        """Predicates on `Trace`, the project's first."""
        return [col(Trace.project_id) == project_id, *self.predicates(project_id)]

    def looked_up(self, project_id: ProjectId | UUID) -> list[ColumnElement[bool]]:
        """The same, with tags looked up trace by trace: less work where many carry them."""
        if not self.tags:
            return self.where(project_id)
        tagged = exists().where(
            col(TraceTag.project_id) == project_id,
            col(TraceTag.trace_id) == col(Trace.id),
            col(TraceTag.tag).in_(self.tags),
        )
        return [*self.model_copy(update={"tags": None}).where(project_id), tagged]


class TraceFilters(_TraceFields):
    """Which traces a run judges. All optional, all combined with AND."""

    date_from: Annotated[
        Moment | None,
        _Where(lambda v, _: col(Trace.started_at) >= v),
        Field(description="Traces that started at this moment or later."),
    ] = None
    date_to: Annotated[
        Moment | None,
        _Where(lambda v, _: col(Trace.started_at) < v),
        Field(description="Traces that started before this moment."),
    ] = None

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        _check_order(date_from=self.date_from, date_to=self.date_to)
        return self


class TraceListFilters(_TraceFields):
    """Which traces a list shows. All optional, all combined with AND."""

    started_after: Annotated[
        Moment | None,
        _Where(lambda v, _: col(Trace.started_at) >= v),
        Field(description="Traces that started at this moment or later."),
    ] = None
    started_before: Annotated[
        Moment | None,
        _Where(lambda v, _: col(Trace.started_at) < v),
        Field(description="Traces that started before this moment."),
    ] = None

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        _check_order(started_after=self.started_after, started_before=self.started_before)
        return self


class ScoreFilters(_Filters):
    """Which scores a list shows. All optional, all combined with AND."""

    target_type: ClassVar[TargetType]

    name: Annotated[
        PlainText | None,
        _Where(lambda v, _: col(Score.name) == v),
        Field(description="Scores by exactly this metric."),
    ] = None
    source: Annotated[
        ScoreSource | None,
        _Where(lambda v, _: col(Score.source) == v),
        Field(description="Scores made this way."),
    ] = None
    status: Annotated[
        ScoreStatus | None,
        _Where(lambda v, _: col(Score.status) == v),
        Field(description="Scores in this status."),
    ] = None
    data_type: Annotated[
        ScoreType | None,
        _Where(lambda v, _: col(Score.data_type) == v),
        Field(description="Scores with values of this type."),
    ] = None
    eval_run_id: Annotated[
        UUID | None,
        _Where(lambda v, _: col(Score.eval_run_id) == v),
        Field(description="Scores of this run."),
    ] = None
    date_from: Annotated[
        Moment | None,
        _Where(lambda v, _: col(Score.created_at) >= v),
        Field(description="Scores made at this moment or later."),
    ] = None
    date_to: Annotated[
        Moment | None,
        _Where(lambda v, _: col(Score.created_at) < v),
        Field(description="Scores made before this moment."),
    ] = None

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        _check_order(date_from=self.date_from, date_to=self.date_to)
        return self

    def where(self, project_id: ProjectId | UUID) -> list[ColumnElement[bool]]:
        """Predicates on `Score`, the project's first."""
        return [
            col(Score.project_id) == project_id,
            col(Score.target_type) == self.target_type,
            *self.predicates(project_id),
        ]


class TraceScoreFilters(ScoreFilters):
    target_type = TargetType.TRACE

    trace_id: Annotated[
        UUID | None,
        _Where(lambda v, _: col(Score.target_id) == str(v)),
        Field(description="Scores of this trace."),
    ] = None
    environment: Annotated[
        PlainText | None,
        _Where(lambda v, _: col(Score.environment) == v),
        Field(description="Scores of traces from exactly this environment."),
    ] = None


class SessionScoreFilters(ScoreFilters):
    target_type = TargetType.SESSION

    session_id: Annotated[
        PlainText | None,
        _Where(lambda v, _: col(Score.target_id) == v),
        Field(description="Scores of exactly this session."),
    ] = None
