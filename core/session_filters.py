"""Filters on sessions: what is asked of a session is asked of its traces taken together."""

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import ColumnElement, Text, exists, func, select, type_coerce
from sqlalchemy.orm import aliased
from sqlmodel import col

from core import dialect
from core.filters import MAX_TAGS, Moment, carries_any
from core.ids import ProjectId, TraceStatus
from core.tables import Trace, TraceTag
from core.text import PlainText


def errors() -> ColumnElement[int]:
    """How many traces of a session ended in an error."""
    return func.count().filter(col(Trace.status) == TraceStatus.ERROR)


class _SessionFields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    user_id: PlainText | None = Field(None, description="Sessions with a trace of this user.")
    has_error: bool | None = Field(
        None, description="Whether a trace of the session ended in an error."
    )
    tags: Annotated[list[PlainText], Field(max_length=MAX_TAGS)] | None = Field(
        None, description="Sessions with a trace that carries any of these tags."
    )

    def where(self, project_id: ProjectId | UUID) -> list[ColumnElement[bool]]:
        """Predicates on `Trace`, before its rows are grouped by session."""
        found: list[ColumnElement[bool]] = [
            col(Trace.project_id) == project_id,
            col(Trace.session_id).is_not(None),
        ]
        members = self._members(project_id)
        # Asked of any trace: those it is not true of belong to the session all the same.
        return found + [
            col(Trace.session_id).in_(
                select(col(Trace.session_id)).where(
                    col(Trace.project_id) == project_id, col(Trace.session_id).is_not(None), *these
                )
            )
            for these in members
        ]

    def having(self) -> list[ColumnElement[bool]]:
        """Predicates on the whole session."""
        if self.has_error is None:
            return []
        return [errors() > 0 if self.has_error else errors() == 0]

    def _members(self, project_id: ProjectId | UUID) -> list[list[ColumnElement[bool]]]:
        """What some trace of the session must be, each by itself."""
        members: list[list[ColumnElement[bool]]] = []
        if self.user_id is not None:
            members.append([col(Trace.user_id) == self.user_id])
        if self.tags:
            tagged = select(col(TraceTag.trace_id)).where(
                col(TraceTag.project_id) == project_id, col(TraceTag.tag).in_(self.tags)
            )
            members.append([col(Trace.id).in_(tagged)])
        return members


class SessionFilters(_SessionFields):
    """Which sessions a run judges. All optional, all combined with AND."""

    date_from: Moment | None = Field(
        None, description="Sessions with a trace that started at this moment or later."
    )
    date_to: Moment | None = Field(
        None,
        description="Sessions with a trace that started before this moment; with `date_from`, "
        "with one that started between the two.",
    )
    min_trace_count: int | None = Field(
        None, ge=1, le=2**31 - 1, description="Sessions of at least so many traces."
    )

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.date_from and self.date_to and self.date_from >= self.date_to:
            raise ValueError("date_from must be before date_to")
        return self

    def having(self) -> list[ColumnElement[bool]]:
        found = super().having()
        if self.min_trace_count is not None:
            found.append(func.count() >= self.min_trace_count)
        return found

    def _members(self, project_id: ProjectId | UUID) -> list[list[ColumnElement[bool]]]:
        between: list[ColumnElement[bool]] = []
        if self.date_from is not None:
            between.append(col(Trace.started_at) >= self.date_from)
        if self.date_to is not None:
            between.append(col(Trace.started_at) < self.date_to)
        return super()._members(project_id) + ([between] if between else [])

    @classmethod
    def of_run(cls, filters: dict[str, Any]) -> Self:
        """What a run keeps, without the weights that are kept beside the filters."""
        return cls.model_validate({k: v for k, v in filters.items() if k != "signal_weights"})


class SessionListFilters(_SessionFields):
    """Which sessions a list shows. All optional, all combined with AND."""

    started_after: Moment | None = Field(
        None, description="Sessions that began at this moment or later."
    )
    started_before: Moment | None = Field(
        None, description="Sessions that began before this moment."
    )
    query: PlainText | None = Field(
        None, description="Sessions whose id contains this, whatever the case."
    )

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.started_after and self.started_before and self.started_after >= self.started_before:
            raise ValueError("started_after must be before started_before")
        return self

    def where(self, project_id: ProjectId | UUID) -> list[ColumnElement[bool]]:
        return super().where(project_id) + self._named()

    def having(self) -> list[ColumnElement[bool]]:
        found = super().having()
        began = func.min(col(Trace.started_at))
        if self.started_after is not None:
            found.append(began >= self.started_after)
        if self.started_before is not None:
            found.append(began < self.started_before)
        return found

    def _members(self, project_id: ProjectId | UUID) -> list[list[ColumnElement[bool]]]:
        members = super()._members(project_id)
        if self.started_after is not None:
            # One of these is the session's first: of a short period only its own are grouped.
            within = [col(Trace.started_at) >= self.started_after]
            if self.started_before is not None:
                within.append(col(Trace.started_at) < self.started_before)
            members.append(within)
        return members

    def looked_up(self, project_id: ProjectId | UUID) -> list[ColumnElement[bool]]:
        """All that is asked, of the session each row of `Trace` is of: nothing is grouped."""
        other = aliased(Trace)
        same = exists().where(
            col(other.project_id) == project_id,
            col(other.session_id) == col(Trace.session_id),
        )
        found = [col(Trace.project_id) == project_id, col(Trace.session_id).is_not(None)]
        found += self._named()
        if self.user_id is not None:
            found.append(same.where(col(other.user_id) == self.user_id))
        if self.tags:
            found.append(same.where(carries_any(col(other.id), self.tags, project_id)))
        if self.has_error is not None:
            failed = same.where(col(other.status) == TraceStatus.ERROR)
            found.append(failed if self.has_error else ~failed)
        if self.started_after is not None:
            # The second follows from the first, and lets an index begin there.
            found.append(~same.where(col(other.started_at) < self.started_after))
            found.append(col(Trace.started_at) >= self.started_after)
        if self.started_before is not None:
            found.append(same.where(col(other.started_at) < self.started_before))
        return found

    def _named(self) -> list[ColumnElement[bool]]:
        if not self.query:
            return []
        return [dialect.contains(type_coerce(col(Trace.session_id), Text), self.query)]
