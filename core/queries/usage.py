"""Usage of judge calls, grouped."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Text, cast, func, select, union_all

from core.db import sql_functions
from core.db.database import Reader
from core.db.tables import metadata
from core.ids import ProjectId, ScoreSource
from core.queries import kept_usage

_SCORE: Final = metadata.tables["score"]
_RUN: Final = metadata.tables["eval_run"]
_DAY: Final = metadata.tables["usage_day"]
_COST_DECIMALS: Final = 6


class UsageGrouping(StrEnum):
    DAY = "day"
    MODEL = "model"
    METRIC = "metric"
    MONITOR = "monitor"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """`group` is a day, a model, a metric, or the id of a monitor or run.

    When grouped by run, it is None for pairs of deleted runs; by monitor, of runs without a
    monitor. By model or monitor, it is also None for pairs that outlived their run.
    `cost_usd` is None if the price of any call is unknown. `saved_usd` values each cached
    answer at the mean cost of the group's paid answers. A call for several metrics counts as one
    answer per metric, paid or cached. `repair_calls` and `repair_cost_usd` are the part of the
    calls and of the cost that repaired or repeated an earlier call. Scores of earlier releases
    count no repairs.
    """

    group: str | None
    judge_calls: int
    cached_calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    repair_calls: int
    repair_cost_usd: float | None
    pairs_judged: int
    pairs_from_cache: int
    saved_usd: float | None


async def grouped(
    db: Reader,
    project_id: ProjectId,
    grouping: UsageGrouping,
    *,
    start: datetime | None,
    end: datetime | None,
) -> list[UsageGroup]:
    """Days oldest first; other groups by descending number of judge calls.

    Includes deleted scores, whose usage is known by day: a day counts if it begins in the period.
    """
    stored = (
        select(
            _group_of(grouping).label("group"),
            *(_SCORE.c[name] for name in kept_usage.USAGE_COLUMNS),
        )
        .select_from(_SCORE.outerjoin(_RUN, _RUN.c.id == _SCORE.c.eval_run_id))
        .where(
            _SCORE.c.project_id == project_id,
            _SCORE.c.source == ScoreSource.AUTOMATED,
            *([] if start is None else [_SCORE.c.created_at >= start]),
            *([] if end is None else [_SCORE.c.created_at < end]),
        )
        .subquery()
    )
    summed = kept_usage.sums(stored)
    deleted = (
        select(_deleted_group_of(grouping), *(_DAY.c[name] for name in kept_usage.SUMS))
        .select_from(_DAY.outerjoin(_RUN, _RUN.c.id == _DAY.c.run_id))
        .where(*kept_usage.within(project_id, start, end))
    )
    both = union_all(
        select(stored.c.group, *(summed[name].label(name) for name in kept_usage.SUMS)).group_by(
            stored.c.group
        ),
        deleted,
    ).subquery()
    added = {name: func.sum(both.c[name]) for name in kept_usage.SUMS}
    calls = added["judge_calls"]
    rows = await db.execute(
        select(both.c.group, *(column.label(name) for name, column in added.items()))
        .group_by(both.c.group)
        .order_by(both.c.group if grouping is UsageGrouping.DAY else calls.desc(), both.c.group)
    )
    return [_usage_group(row) for row in rows]


def _usage_group(row: Any) -> UsageGroup:
    priced = row.unpriced == 0
    saved = None
    if priced and (row.answers or not row.cached_calls):
        saved = row.cost_usd / row.answers * row.cached_calls if row.answers else 0.0
    repairs = None if row.unpriced_repairs else round(row.repair_cost_usd, _COST_DECIMALS)
    return UsageGroup(
        group=None if row.group is None else str(row.group),
        judge_calls=int(row.judge_calls),
        cached_calls=int(row.cached_calls),
        prompt_tokens=int(row.prompt_tokens),
        completion_tokens=int(row.completion_tokens),
        cost_usd=round(row.cost_usd, _COST_DECIMALS) if priced else None,
        repair_calls=int(row.repair_calls),
        repair_cost_usd=repairs,
        pairs_judged=int(row.pairs_judged),
        pairs_from_cache=int(row.pairs_from_cache),
        saved_usd=None if saved is None else round(saved, _COST_DECIMALS),
    )


def _group_of(grouping: UsageGrouping) -> ColumnElement[Any]:
    groups: dict[UsageGrouping, ColumnElement[Any]] = {
        UsageGrouping.DAY: sql_functions.day_text(_SCORE.c.created_at),
        UsageGrouping.MODEL: cast(_RUN.c.model, Text),
        UsageGrouping.METRIC: cast(_SCORE.c.name, Text),
        UsageGrouping.MONITOR: _RUN.c.monitor_id,
        UsageGrouping.RUN: _SCORE.c.eval_run_id,
    }
    return groups[grouping]


def _deleted_group_of(grouping: UsageGrouping) -> ColumnElement[Any]:
    groups: dict[UsageGrouping, ColumnElement[Any]] = {
        UsageGrouping.DAY: cast(_DAY.c.day, Text),
        UsageGrouping.MODEL: func.nullif(cast(_DAY.c.model, Text), ""),
        UsageGrouping.METRIC: cast(_DAY.c.metric, Text),
        UsageGrouping.MONITOR: func.nullif(_DAY.c.monitor_id, kept_usage.UNKNOWN),
        UsageGrouping.RUN: _RUN.c.id,
    }
    return groups[grouping]
