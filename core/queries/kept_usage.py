"""The usage of deleted scores, summed up by day, so that a bill outlives what it paid for.

A caller that deletes scores must call a `keep_…` function before, in the same transaction.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Float,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    func,
    literal,
    select,
)

from core.db import dialect, sql_functions
from core.db.database import Reader, Writer
from core.db.tables import metadata
from core.ids import ProjectId, ScoreSource, TargetType

_DAY: Final = metadata.tables["usage_day"]
_SCORE: Final = metadata.tables["score"]
_RUN: Final = metadata.tables["eval_run"]

_KEY: Final = ("project_id", "day", "run_id", "metric", "model", "monitor_id")
UNKNOWN: Final = literal(UUID(int=0), Uuid)
"""Stands for a run or monitor that is not known."""


def sums(pairs: Any) -> dict[str, ColumnElement[Any]]:
    """The summed usage of these scores, by column of `usage_day`."""
    # Metrics that share a call share its tokens, but only the first metric counts the call.
    billed = (pairs.c.judge_calls > 0) | (pairs.c.prompt_tokens > 0)
    added = {
        name: _sum(pairs.c[name])
        for name in ("judge_calls", "cached_calls", "prompt_tokens", "completion_tokens")
    }
    return added | {
        "answers": _sum(case((pairs.c.judge_calls > 0, pairs.c.judge_calls), (billed, 1), else_=0)),
        "cost_usd": _sum(pairs.c.cost_usd),
        "unpriced": _unpriced(billed, pairs.c.cost_usd),
        "repair_calls": _sum(pairs.c.repair_calls),
        "repair_cost_usd": _sum(pairs.c.repair_cost_usd),
        "unpriced_repairs": _unpriced(pairs.c.repair_calls > 0, pairs.c.repair_cost_usd),
        "pairs_judged": func.count(case((billed, 1))),
        "pairs_from_cache": func.count(case((~billed & (pairs.c.cached_calls > 0), 1))),
    }


USAGE_COLUMNS: Final = (
    *("judge_calls", "cached_calls", "prompt_tokens", "completion_tokens", "cost_usd"),
    *("repair_calls", "repair_cost_usd"),
)
"""The columns of a score that `sums` reads."""

SUMS: Final = tuple(name for name in _DAY.columns.keys() if name not in _KEY)  # noqa: SIM118  a collection of columns


async def keep_targets(
    db: Writer, project_id: ProjectId, target_type: TargetType, target_ids: Sequence[str]
) -> None:
    """Adds the usage of the automated scores of these targets to the sums of their days."""
    values = {"project_id": project_id, "target_type": target_type, "targets": target_ids}
    await db.execute(_adding(dialect.insert(db, _DAY), _TARGETS), values)


async def keep_scores(db: Writer, score_ids: Sequence[UUID], *, run_stays: bool = True) -> None:
    """The same for these scores.

    Without `run_stays`, runs share one row per day, metric, model and monitor.
    """
    statement = _adding(dialect.insert(db, _DAY), _SCORES, run_stays=run_stays)
    await db.execute(statement, {"scores": score_ids})


async def keep_run(db: Writer, run_id: UUID) -> None:
    """The same for all scores of a run that is deleted."""
    statement = _adding(dialect.insert(db, _DAY), _OF_RUN, run_stays=False)
    await db.execute(statement, {"run": run_id})


_TARGETS: Final = "targets"
_SCORES: Final = "scores"
_OF_RUN: Final = "run"
_PREDICATES: Final = {
    _TARGETS: (
        _SCORE.c.project_id == bindparam("project_id"),
        _SCORE.c.target_type == bindparam("target_type"),
        _SCORE.c.target_id.in_(bindparam("targets", expanding=True)),
    ),
    _SCORES: (_SCORE.c.id.in_(bindparam("scores", expanding=True)),),
    _OF_RUN: (_SCORE.c.eval_run_id == bindparam("run"),),
}


@cache
def _adding(statement: dialect.Insert, scores: str, *, run_stays: bool = True) -> Any:
    """Cached, because building the statement takes ten times as long as executing it."""
    key: dict[str, Any] = {
        "project_id": _SCORE.c.project_id,
        "day": sql_functions.day_text(_SCORE.c.created_at),
        "run_id": func.coalesce(_SCORE.c.eval_run_id, UNKNOWN) if run_stays else UNKNOWN,
        "metric": _SCORE.c.name,
        "model": func.coalesce(cast(_RUN.c.model, Text), ""),
        "monitor_id": func.coalesce(_RUN.c.monitor_id, UNKNOWN),
    }
    pairs = (
        select(
            *(column.label(name) for name, column in key.items()),
            *(_SCORE.c[name] for name in USAGE_COLUMNS),
        )
        .select_from(_SCORE.outerjoin(_RUN, _RUN.c.id == _SCORE.c.eval_run_id))
        .where(_SCORE.c.source == ScoreSource.AUTOMATED, *_PREDICATES[scores])
        # Of two deletions of a score, the second waits here, and then finds the score gone.
        .with_for_update(of=_SCORE)
        .subquery()
    )
    of_key = [pairs.c[name] for name in _KEY]
    summed = sums(pairs)
    found = select(*of_key, *(summed[name] for name in SUMS)).group_by(*of_key)
    statement = statement.from_select([*_KEY, *SUMS], found)
    return statement.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={name: _DAY.c[name] + statement.excluded[name] for name in SUMS},
    )


async def spent(db: Reader, project_id: ProjectId | UUID, month: str) -> float:
    """US dollars that deleted scores of the month, such as `2026-11`, have cost."""
    found = select(func.coalesce(func.sum(_DAY.c.cost_usd), 0.0)).where(
        _DAY.c.project_id == project_id, _DAY.c.day >= f"{month}-01", _DAY.c.day <= f"{month}-31"
    )
    return float(await db.scalar(found) or 0.0)


def within(
    project_id: ProjectId, start: datetime | None, end: datetime | None
) -> tuple[ColumnElement[bool], ...]:
    """Predicates for the days that begin in this period."""
    found = [_DAY.c.project_id == project_id]
    if start is not None:
        found.append(_DAY.c.day >= _first_day_from(start))
    if end is not None:
        found.append(_DAY.c.day < _first_day_from(end))
    return tuple(found)


def _first_day_from(moment: datetime) -> str:
    """The first day (UTC) that begins at the moment or later."""
    of_moment = moment.astimezone(UTC)
    midnight = of_moment.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight if midnight == of_moment else midnight + timedelta(days=1)
    return f"{first:%Y-%m-%d}"


def _sum(column: Any) -> ColumnElement[float]:
    # Summed as floats, because SQLite fails for sums of integers beyond 64 bits.
    return func.coalesce(func.sum(cast(column, Float)), 0.0)


def _unpriced(billed: ColumnElement[bool], cost: Any) -> ColumnElement[int]:
    return func.count(case((billed & cost.is_(None), 1)))
