"""Filters as SQL.

Each filter has two forms that select the same rows. `…_where` finds the rows by tag or by session
first, which is fast when few match. `…_looked_up` walks the rows in the order of a list and checks
each one, which is fast when many match.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, exists, func, select, type_coerce
from sqlalchemy.orm import aliased
from sqlmodel import col

from core.db import sql_functions
from core.db.tables import Score, Trace, TraceTag
from core.filters import (
    AnyTag,
    Compare,
    Filters,
    FirstTrace,
    HasError,
    MinTraceCount,
    Operator,
    ScoreFilters,
    SomeTrace,
)
from core.ids import ProjectId, TraceStatus

Predicates = list[ColumnElement[bool]]
Project = ProjectId | UUID

_TAG_COLUMNS: Final = {"started_at"}
"""Columns of a trace that are also columns of its tags."""


def scores_where(filters: ScoreFilters, project_id: Project) -> Predicates:
    """Predicates on `Score`; the first one selects the project."""
    return [
        col(Score.project_id) == project_id,
        col(Score.target_type) == filters.target_type,
        *(_compare(Score, mark, value) for mark, value in filters.given(Compare)),
    ]


def traces_where(filters: Filters, project_id: Project) -> Predicates:
    """Predicates on `Trace`; the first one selects the project."""
    if not tags_of(filters) or is_selective(filters):
        return traces_looked_up(filters, project_id)
    # SQLite would evaluate an EXISTS once per trace.
    tagged = select(col(TraceTag.trace_id)).where(*tags_where(filters, project_id))
    return [*untagged(filters, project_id), col(Trace.id).in_(tagged)]


def traces_looked_up(filters: Filters, project_id: Project) -> Predicates:
    """Like `traces_where`, but looks up the tags of each trace: fast when many traces match."""
    found = untagged(filters, project_id)
    tags = tags_of(filters)
    return [*found, _carries_any(col(Trace.id), tags, project_id)] if tags else found


def tags_where(filters: Filters, project_id: Project) -> Predicates:
    """Predicates on `TraceTag`: the tags, and the conditions on columns that a tag row has."""
    return [
        col(TraceTag.project_id) == project_id,
        col(TraceTag.tag).in_(tags_of(filters)),
        *(
            _compare(TraceTag, mark, value)
            for mark, value in filters.given(Compare)
            if mark.column in _TAG_COLUMNS
        ),
    ]


def needs_only_tags(filters: Filters) -> bool:
    """Whether `tags_where` alone selects the traces."""
    compared = all(mark.column in _TAG_COLUMNS for mark, _ in filters.given(Compare))
    return bool(tags_of(filters)) and compared


def untagged(filters: Filters, project_id: Project) -> Predicates:
    """Predicates on `Trace` for everything but the tags."""
    compared = (_compare(Trace, mark, value) for mark, value in filters.given(Compare))
    return [col(Trace.project_id) == project_id, *compared]


def is_selective(filters: Filters) -> bool:
    """Whether something other than the tags already selects few traces."""
    return any(mark.selective for mark, _ in filters.given(Compare))


def tags_of(filters: Filters) -> list[str]:
    return [tag for _, tags in filters.given(AnyTag) for tag in tags]


def error_count() -> ColumnElement[int]:
    """How many traces of a session ended in an error."""
    return func.count().filter(col(Trace.status) == TraceStatus.ERROR)


def session_ids(filters: Filters, project_id: Project) -> Select[str | None]:
    """The matching sessions, in no particular order."""
    return (
        select(col(Trace.session_id))
        .where(*_session_members(filters, project_id))
        .group_by(col(Trace.session_id))
        .having(*_session_having(filters))
    )


def sessions_looked_up(filters: Filters, project_id: Project) -> Predicates:
    """Predicates on `Trace` about the session of each row, without grouping."""
    other = aliased(Trace)
    same_session = exists().where(
        col(other.project_id) == project_id, col(other.session_id) == col(Trace.session_id)
    )
    conditions = _named_sessions(filters, project_id)
    conditions += [
        same_session.where(*predicates)
        for predicates in _some_trace(
            filters, other, lambda tags: _carries_any(col(other.id), tags, project_id)
        )
    ]
    for _, wanted in filters.given(HasError):
        failed = same_session.where(col(other.status) == TraceStatus.ERROR)
        conditions.append(failed if wanted else ~failed)
    for _, least in filters.given(MinTraceCount):
        count = select(func.count()).where(
            col(other.project_id) == project_id, col(other.session_id) == col(Trace.session_id)
        )
        conditions.append(count.scalar_subquery() >= least)
    for mark, moment in filters.given(FirstTrace):
        before = same_session.where(col(other.started_at) < moment)
        # The second predicate follows from the first; an index can start at its bound.
        from_then = [~before, col(Trace.started_at) >= moment]
        conditions += from_then if mark.operator is Operator.FROM else [before]
    return conditions


def _session_members(filters: Filters, project_id: Project) -> Predicates:
    """Predicates on `Trace` that keep every trace of a session that may match."""
    conditions = _named_sessions(filters, project_id)
    members = _some_trace(
        filters, Trace, lambda tags: col(Trace.id).in_(_with_tags(tags, project_id))
    )
    first = list(filters.given(FirstTrace))
    if any(mark.operator is Operator.FROM for mark, _ in first):
        # A session that began in a short period has a trace in it, so only those sessions are
        # grouped.
        members.append(
            [_apply(mark.operator, col(Trace.started_at), moment) for mark, moment in first]
        )
    return conditions + [
        col(Trace.session_id).in_(
            select(col(Trace.session_id)).where(
                col(Trace.project_id) == project_id, col(Trace.session_id).is_not(None), *predicates
            )
        )
        for predicates in members
    ]


def _session_having(filters: Filters) -> Predicates:
    """Predicates on the whole session."""
    began = func.min(col(Trace.started_at))
    predicates: Predicates = [
        error_count() > 0 if wanted else error_count() == 0 for _, wanted in filters.given(HasError)
    ]
    predicates += [func.count() >= least for _, least in filters.given(MinTraceCount)]
    predicates += [
        _apply(mark.operator, began, moment) for mark, moment in filters.given(FirstTrace)
    ]
    return predicates


def _named_sessions(filters: Filters, project_id: Project) -> Predicates:
    return [
        col(Trace.project_id) == project_id,
        col(Trace.session_id).is_not(None),
        *(_compare(Trace, mark, value) for mark, value in filters.given(Compare)),
    ]


def _some_trace(
    filters: Filters, table: Any, carries: Callable[[list[str]], ColumnElement[bool]]
) -> list[Predicates]:
    """Lists of predicates.

    For each list, some trace of the session must fulfill all its predicates.
    """
    groups: defaultdict[str | int, Predicates] = defaultdict(list)
    for number, (mark, value) in enumerate(filters.given(SomeTrace)):
        condition = mark.condition
        groups[mark.group or number].append(
            carries(value) if isinstance(condition, AnyTag) else _compare(table, condition, value)
        )
    return list(groups.values())


def _with_tags(tags: list[str], project_id: Project) -> Select[UUID]:
    return select(col(TraceTag.trace_id)).where(
        col(TraceTag.project_id) == project_id, col(TraceTag.tag).in_(tags)
    )


def _carries_any(trace_id: Any, tags: list[str], project_id: Project) -> ColumnElement[bool]:
    # Selects a column of the primary key: SQLite uses that index when it covers the subquery.
    return exists(col(TraceTag.trace_id)).where(
        col(TraceTag.project_id) == project_id,
        col(TraceTag.trace_id) == trace_id,
        sql_functions.unindexed(col(TraceTag.tag)).in_(tags),
    )


def _compare(table: Any, mark: Compare, value: Any) -> ColumnElement[bool]:
    column = col(getattr(table, mark.column))
    if mark.column == "target_id":
        value = str(value)
    return _apply(mark.operator, column, value)


def _apply(operator: Operator, column: Any, value: Any) -> ColumnElement[bool]:
    match operator:
        case Operator.IS:
            condition: ColumnElement[bool] = column == value
        case Operator.CONTAINS:
            condition = sql_functions.contains(type_coerce(column, Text), value)
        case Operator.FROM:
            condition = column >= value
        case Operator.BEFORE:
            condition = column < value
    return condition
