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


def carries_any(trace_id: Any, tags: list[str], project_id: UUID) -> ColumnElement[bool]:
    """Whether the trace carries one of the tags, looked up for each that is asked about."""
    # A column of the key, since the key's index is taken where it has all that is asked for.
    return exists(col(TraceTag.trace_id)).where(
        col(TraceTag.project_id) == project_id,
        col(TraceTag.trace_id) == trace_id,
        dialect.checked(col(TraceTag.tag)).in_(tags),
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
        Field(max_length=MAX_TAGS, description="Traces that carry any of these tags."),
    ] = None
    name: Annotated[
        PlainText | None,
        _Where(lambda v, _: dialect.contains(col(Trace.name), v)),
        Field(description="Traces whose name contains this, whatever the case."),
    ] = None

    def period(self) -> tuple[datetime | None, datetime | None]:
        """From which moment on, and before which, a trace must have started."""
        return None, None

    def where(self, project_id: ProjectId | UUID) -> list[ColumnElement[bool]]:
        """Predicates on `Trace`, the project's first."""
        if not self.tags or self.session_id is not None or self.user_id is not None:
            # A session and a user have fewer traces than a tag.
            return self.looked_up(project_id)
        # Rather than by EXISTS, which SQLite would look up for each trace.
        tagged = select(col(TraceTag.trace_id)).where(*self.tagged(project_id))
        return [*self.untagged(project_id), col(Trace.id).in_(tagged)]

    def looked_up(self, project_id: ProjectId | UUID) -> list[ColumnElement[bool]]:
        """The same, with tags looked up trace by trace: less work where many carry them."""
        if not self.tags:
            return self.untagged(project_id)
        return [*self.untagged(project_id), carries_any(col(Trace.id), self.tags, project_id)]

    @property
    def only_tags(self) -> bool:
        """Whether tags, with the period, are all that is asked."""
        others = (self.status, self.session_id, self.user_id, self.name)
        return bool(self.tags) and all(value is None for value in others)

    def untagged(self, project_id: ProjectId | UUID) -> list[ColumnElement[bool]]:
        """Predicates on `Trace` of all but the tags."""
        return [col(Trace.project_id) == project_id, *self.predicates(project_id)]

    def tagged(self, project_id: ProjectId | UUID) -> list[ColumnElement[bool]]:
        """Predicates on `TraceTag`: what tags and period ask of one."""
        since, until = self.period()
        found = [col(TraceTag.project_id) == project_id, col(TraceTag.tag).in_(self.tags or [])]
        if since is not None:
            found.append(col(TraceTag.started_at) >= since)
        if until is not None:
            found.append(col(TraceTag.started_at) < until)
        return found


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

    def period(self) -> tuple[datetime | None, datetime | None]:
        return self.date_from, self.date_to


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

    def period(self) -> tuple[datetime | None, datetime | None]:
        return self.started_after, self.started_before


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
