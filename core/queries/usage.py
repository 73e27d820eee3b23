"""Usage of judge calls, grouped."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Float, Text, case, cast, func, select

from core.db import sql_functions
from core.db.database import Reader
from core.db.sql_functions import Granularity
from core.db.tables import metadata
from core.ids import ProjectId, ScoreSource

_SCORE: Final = metadata.tables["score"]
_RUN: Final = metadata.tables["eval_run"]
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

    It is None for pairs of deleted runs and, when grouped by monitor, of runs without a monitor.
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
    """Days oldest first; other groups by descending number of judge calls."""
    pairs = (
        select(
            _group_of(grouping).label("group"),
            *(_SCORE.c[name] for name in ("judge_calls", "cached_calls", "prompt_tokens")),
            *(_SCORE.c[name] for name in ("completion_tokens", "cost_usd")),
            *(_SCORE.c[name] for name in ("repair_calls", "repair_cost_usd")),
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
    calls, cached = _sum(pairs.c.judge_calls), _sum(pairs.c.cached_calls)
    # Metrics that share a call share its tokens, but only the first metric counts the call.
    billed = (pairs.c.judge_calls > 0) | (pairs.c.prompt_tokens > 0)
    answers = _sum(case((pairs.c.judge_calls > 0, pairs.c.judge_calls), (billed, 1), else_=0))
    rows = await db.execute(
        select(
            pairs.c.group,
            calls.label("calls"),
            answers.label("answers"),
            cached.label("cached"),
            _sum(pairs.c.prompt_tokens).label("prompt"),
            _sum(pairs.c.completion_tokens).label("completion"),
            _sum(pairs.c.cost_usd).label("cost"),
            _unpriced(billed, pairs.c.cost_usd).label("unpriced"),
            _sum(pairs.c.repair_calls).label("repairs"),
            _sum(pairs.c.repair_cost_usd).label("repair_cost"),
            _unpriced(pairs.c.repair_calls > 0, pairs.c.repair_cost_usd).label("unpriced_repairs"),
            func.count(case((billed, 1))).label("judged"),
            func.count(case((~billed & (pairs.c.cached_calls > 0), 1))).label("from_cache"),
        )
        .group_by(pairs.c.group)
        .order_by(pairs.c.group if grouping is UsageGrouping.DAY else calls.desc(), pairs.c.group)
    )
    return [_usage_group(row) for row in rows]


def _usage_group(row: Any) -> UsageGroup:
    priced = row.unpriced == 0
    saved = None
    if priced and (row.answers or not row.cached):
        saved = row.cost / row.answers * row.cached if row.answers else 0.0
    group = row.group
    if isinstance(group, datetime):
        group = group.date().isoformat()
    return UsageGroup(
        group=None if group is None else str(group),
        judge_calls=int(row.calls),
        cached_calls=int(row.cached),
        prompt_tokens=int(row.prompt),
        completion_tokens=int(row.completion),
        cost_usd=round(row.cost, _COST_DECIMALS) if priced else None,
        repair_calls=int(row.repairs),
        repair_cost_usd=None if row.unpriced_repairs else round(row.repair_cost, _COST_DECIMALS),
        pairs_judged=row.judged,
        pairs_from_cache=row.from_cache,
        saved_usd=None if saved is None else round(saved, _COST_DECIMALS),
    )


def _group_of(grouping: UsageGrouping) -> ColumnElement[Any]:
    match grouping:
        case UsageGrouping.DAY:
            group: ColumnElement[Any] = sql_functions.time_bucket(
                _SCORE.c.created_at, Granularity.DAY
            )
        case UsageGrouping.MODEL:
            group = cast(_RUN.c.model, Text)
        case UsageGrouping.METRIC:
            group = cast(_SCORE.c.name, Text)
        case UsageGrouping.MONITOR:
            group = _RUN.c.monitor_id
        case UsageGrouping.RUN:
            group = _SCORE.c.eval_run_id
    return group


def _unpriced(billed: ColumnElement[bool], cost: Any) -> ColumnElement[int]:
    return func.count(case((billed & cost.is_(None), 1)))


def _sum(column: Any) -> ColumnElement[float]:
    # Summed as floats, because SQLite fails for sums of integers beyond 64 bits.
    return func.coalesce(func.sum(cast(column, Float)), 0.0)
