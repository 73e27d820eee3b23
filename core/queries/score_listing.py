"""Lists the scores behind a number on a page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, case, exists, func, select
from sqlmodel import col

from core.db import paging, sql_functions
from core.db.database import Reader
from core.db.paging import Page
from core.db.tables import Score, Trace, TraceTag, metadata
from core.errors import NotFound
from core.ids import ProjectId, ScoreSource, ScoreStatus, TargetType
from core.queries.number_sums import NumberSums
from core.score_values import DEFAULT_THRESHOLD

MAX_IDS: Final = 20_000
"""Below the parameter limit of a statement on both databases."""

_SCORE: Final = metadata.tables["score"]


class ScoreState(StrEnum):
    """The outcome of a pair, as the filter of a list names it."""

    SCORED = "scored"
    PASSED = "passed"
    BELOW = "below"
    NOT_APPLICABLE = "not-applicable"
    FAILED = "failed"


class ScoreSortKey(StrEnum):
    VALUE = "value"
    NEWEST = "newest"
    COST = "cost"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreChoice:
    """Selects scores. All fields are optional and combined with AND.

    `low` is included; `high` is excluded unless it is 1. `thresholds` has the threshold of each
    metric. `tag`, `release`, `user` and `steps` are properties of the judged trace. An empty `tag`,
    `release` or `user` selects traces without a value.
    """

    target_type: TargetType = TargetType.TRACE
    run_id: UUID | None = None
    metric: str | None = None
    state: ScoreState | None = None
    source: ScoreSource | None = None
    target_id: str | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    reason_is: str | None = None
    environment: str | None = None
    tag: str | None = None
    release: str | None = None
    user: str | None = None
    steps: tuple[int, int | None] | None = None
    cached: bool | None = None
    since: datetime | None = None
    ids: tuple[UUID, ...] | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def where(self, project_id: ProjectId) -> list[ColumnElement[bool]]:
        predicates: list[ColumnElement[bool]] = [
            _SCORE.c.project_id == project_id,
            _SCORE.c.target_type == self.target_type,
            *self._of_columns(),
            *self._of_state(),
            *self._of_range(),
        ]
        of_trace = self._of_trace(project_id)
        return predicates if of_trace is None else [*predicates, of_trace]

    def _of_columns(self) -> Iterator[ColumnElement[bool]]:
        for column, value in (
            (_SCORE.c.eval_run_id, self.run_id),
            (_SCORE.c.name, self.metric),
            (_SCORE.c.source, self.source),
            (_SCORE.c.target_id, self.target_id),
            (_SCORE.c.reason, self.reason_is),
            (func.coalesce(_SCORE.c.environment, ""), self.environment),
            (_SCORE.c.cached_calls > 0, self.cached),
        ):
            if value is not None:
                yield column == value
        if self.reason is not None:
            yield sql_functions.contains(_SCORE.c.reason, self.reason)
        if self.since is not None:
            yield _SCORE.c.created_at >= self.since
        if self.ids is not None:
            yield _SCORE.c.id.in_(self.ids)

    def _of_state(self) -> list[ColumnElement[bool]]:
        success = _SCORE.c.status == ScoreStatus.SUCCESS
        number, threshold = _SCORE.c.number, self._threshold()
        if self.state is None:
            return []
        return {
            ScoreState.FAILED: [_SCORE.c.status == ScoreStatus.FAILED],
            ScoreState.NOT_APPLICABLE: [success, _SCORE.c.value.is_(None)],
            ScoreState.SCORED: [success, _SCORE.c.value.is_not(None)],
            ScoreState.PASSED: [success, number >= threshold],
            ScoreState.BELOW: [success, number < threshold],
        }[self.state]

    def _of_range(self) -> Iterator[ColumnElement[bool]]:
        number = _SCORE.c.number
        if self.low is not None:
            yield number >= self.low
        if self.high is not None:
            yield number <= self.high if self.high >= 1 else number < self.high

    def _threshold(self) -> Any:
        if self.metric is not None:
            return self.thresholds.get(self.metric, DEFAULT_THRESHOLD)
        cases = [(_SCORE.c.name == name, value) for name, value in self.thresholds.items()]
        return case(*cases, else_=DEFAULT_THRESHOLD) if cases else DEFAULT_THRESHOLD

    def _of_trace(self, project_id: ProjectId) -> ColumnElement[bool] | None:
        """Conditions on the judged trace."""
        predicates: list[ColumnElement[bool]] = []
        for column, value in ((col(Trace.release), self.release), (col(Trace.user_id), self.user)):
            if value is not None:
                predicates.append(column == value if value else column.is_(None))
        if self.steps is not None:
            low, high = self.steps
            predicates.append(col(Trace.span_count) >= low)
            if high is not None:
                predicates.append(col(Trace.span_count) < high)
        if self.tag is not None:
            of_trace = (TraceTag.project_id, TraceTag.trace_id)
            carries = exists().where(
                col(of_trace[0]) == project_id, col(of_trace[1]) == col(Trace.id)
            )
            predicates.append(
                carries.where(col(TraceTag.tag) == self.tag) if self.tag else ~carries
            )
        if not predicates:
            return None
        trace_id = sql_functions.uuid_of_text(_SCORE.c.target_id)
        return exists().where(
            col(Trace.project_id) == project_id, col(Trace.id) == trace_id, *predicates
        )


@dataclass(frozen=True, slots=True)
class ScoreTotals:
    """Totals over all selected scores, independent of the page."""

    count: int
    targets: int
    sums: NumberSums
    cost_usd: float | None


async def totals(db: Reader, project_id: ProjectId, choice: ScoreChoice) -> ScoreTotals:
    row = (
        await db.execute(
            select(
                func.count(),
                func.count(_SCORE.c.target_id.distinct()),
                func.count(_SCORE.c.number),
                func.coalesce(func.sum(_SCORE.c.number), 0.0),
                func.coalesce(func.sum(_SCORE.c.number * _SCORE.c.number), 0.0),
                func.sum(_SCORE.c.cost_usd),
            ).where(*choice.where(project_id))
        )
    ).one()
    return ScoreTotals(row[0], row[1], NumberSums(row[2], row[3], row[4]), row[5])


async def sums(db: Reader, project_id: ProjectId, choice: ScoreChoice) -> NumberSums:
    """The sums of a long list. An index alone gives them if it has all columns of the filter."""
    number = _SCORE.c.number
    query = select(
        func.count(number),
        func.coalesce(func.sum(number), 0.0),
        func.coalesce(func.sum(number * number), 0.0),
    )
    row = (await db.execute(query.where(*choice.where(project_id)))).one()
    return NumberSums(row[0], row[1], row[2])


async def page(
    db: Reader,
    project_id: ProjectId,
    choice: ScoreChoice,
    page: Page,
    sort_by: ScoreSortKey = ScoreSortKey.NEWEST,
) -> tuple[list[Score], int]:
    """The scores in the requested order, and the total."""
    query = select(Score).where(*choice.where(project_id)).order_by(*_order(sort_by))
    return await paging.fetch(db, query, page)


def _order(sort_by: ScoreSortKey) -> list[ColumnElement[Any]]:
    newest: list[ColumnElement[Any]] = [_SCORE.c.created_at.desc(), _SCORE.c.id.desc()]
    match sort_by:
        case ScoreSortKey.VALUE:
            return [_SCORE.c.number.asc().nulls_last(), *newest]
        case ScoreSortKey.COST:
            return [_SCORE.c.cost_usd.desc().nulls_last(), *newest]
        case ScoreSortKey.NEWEST:
            return newest


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The previous and the next score in a list; `position` counts from 1."""

    previous: UUID | None
    next: UUID | None
    position: int
    total: int


async def neighbors(
    db: Reader, project_id: ProjectId, choice: ScoreChoice, sort_by: ScoreSortKey, offset: int
) -> Neighbors:
    """The neighbors of the score at `offset`, counted from 0."""
    around, total = await page(
        db, project_id, choice, Page(3 if offset else 2, max(0, offset - 1)), sort_by
    )
    here = 1 if offset else 0
    return Neighbors(
        previous=around[0].id if offset and around else None,
        next=around[here + 1].id if len(around) > here + 1 else None,
        position=offset + 1,
        total=total,
    )


async def get(db: Reader, project_id: ProjectId, score_id: UUID) -> Score:
    """A score of a trace or of a session. Raises NotFound."""
    row = await db.scalar(
        select(Score).where(col(Score.project_id) == project_id, col(Score.id) == score_id)
    )
    if row is None:
        raise NotFound("score", score_id)
    return row


async def by_people(
    db: Reader, project_id: ProjectId, scores: Sequence[Score]
) -> dict[tuple[str, str], Score]:
    """The newest annotation of each target and metric of the given scores."""
    if not scores:
        return {}
    rows = await db.scalars(
        select(Score).where(
            col(Score.project_id) == project_id,
            col(Score.target_type) == scores[0].target_type,
            col(Score.target_id).in_({score.target_id for score in scores}),
            col(Score.name).in_({score.name for score in scores}),
            col(Score.source) == ScoreSource.ANNOTATION,
        )
    )
    # Sorted in Python: with ORDER BY, SQLite scans all scores in that order instead of finding
    # these.
    ordered = sorted(rows, key=lambda row: (row.created_at, row.id))
    return {(row.target_id, row.name): row for row in ordered}
