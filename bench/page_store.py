"""Fills a database for the dashboard: many traces and scores up to now, and ended runs of several
sizes.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from bench import filled_store
from bench.filled_store import METRICS
from core import clock
from core.db.database import Database
from core.db.tables import EvalRun, Trace, metadata
from core.ids import ProjectId, RunStatus, ScoreSource, ScoreStatus, ScoreType, TargetType

MODEL: Final = "openai/gpt-4o-mini"
TARGETS: Final = {"small": 34, "middle": 1_000, "large": 33_334}
"""Number of traces by the name of a run: 102, 3,000 and 100,002 pairs with three metrics."""

_OTHER_RUNS: Final = 60
_TARGETS_OF_OTHERS: Final = 34
_ROWS_PER_STATEMENT: Final = 10_000
_TOOLS: Final = ("find_order", "refund", "search_flights", "book", "send_mail")

Row = dict[str, Any]


async def find(database: Database) -> dict[str, UUID]:
    """The ids of the runs by name; empty for a database that was not filled."""
    async with database.read() as db:
        rows = await db.execute(
            select(col(EvalRun.name), col(EvalRun.id)).where(col(EvalRun.name).in_(TARGETS))
        )
        return {str(name): run_id for name, run_id in rows}


async def fill(database: Database, project_id: ProjectId, traces: int) -> dict[str, UUID]:
    """Stores traces of the last year with three scores each, and the runs.

    Returns the result of `find`.
    """
    await filled_store.fill(database, project_id, traces, clock.now())
    async with database.read() as db:
        newest = await db.execute(
            select(col(Trace.id), col(Trace.environment), col(Trace.started_at))
            .where(col(Trace.project_id) == project_id)
            .order_by(col(Trace.started_at).desc())
            .limit(max(TARGETS.values()))
        )
        judged = list(newest)
    chance = random.Random(f"runs over {traces}")
    sizes = {f"other {n}": _TARGETS_OF_OTHERS for n in range(_OTHER_RUNS)} | TARGETS
    for place, (name, size) in enumerate(sizes.items()):
        ended_at = clock.now() - timedelta(hours=len(sizes) - place)
        # The large run covers most traces; the small ones cover some each.
        first = 0 if size > len(judged) // 2 else place * _TARGETS_OF_OTHERS
        run = _EndedRun(project_id, name, ended_at, judged[first : first + size])
        await _add_run(database, run, chance)
    async with database.write() as db:
        await (await db.connection()).exec_driver_sql("ANALYZE")
    return await find(database)


@dataclass(frozen=True, slots=True)
class _EndedRun:
    """`judged`: ids, environments and starts of its traces."""

    project_id: ProjectId
    name: str
    ended_at: datetime
    judged: Sequence[Any]


async def _add_run(database: Database, run: _EndedRun, chance: random.Random) -> None:
    run_id = UUID(int=chance.getrandbits(128))
    scores = [score for trace in run.judged for score in _scores(run, run_id, trace, chance)]
    targets = [
        {"run_id": run_id, "seq": seq, "target_id": str(trace.id), "pair_count": len(METRICS)}
        for seq, trace in enumerate(run.judged)
    ]
    async with database.write() as db:
        await db.execute(metadata.tables["eval_run"].insert(), [_run(run, run_id)])
        for table, rows in (("eval_run_target", targets), ("score", scores)):
            for first in range(0, len(rows), _ROWS_PER_STATEMENT):
                some = rows[first : first + _ROWS_PER_STATEMENT]
                await db.execute(metadata.tables[table].insert(), some)


def _run(run: _EndedRun, run_id: UUID) -> Row:
    began = run.ended_at - timedelta(minutes=10)
    return {
        "id": run_id,
        "project_id": run.project_id,
        "target_type": TargetType.TRACE,
        "name": run.name,
        "status": RunStatus.COMPLETED,
        "metric_names": list(METRICS),
        "filters": {},
        "sampling_rate": 1.0,
        "model": MODEL,
        "fresh": False,
        "total_targets": len(run.judged),
        "evaluated_count": len(run.judged),
        "failed_count": 0,
        **dict.fromkeys(("created_at", "admitted_at", "resolved_at"), began),
        "completed_at": run.ended_at,
    }


def _scores(run: _EndedRun, run_id: UUID, trace: Any, chance: random.Random) -> Iterator[Row]:
    for metric in METRICS:
        number = round(chance.betavariate(5, 2), 2)
        failed = chance.random() < 0.01
        finding = {
            "kind": "wish",
            "text": "The customer is told when the order arrives.",
            "verdict": "missed" if number < 0.5 else "met",
            "steps": [2],
            "tool": chance.choice(_TOOLS),
            "points": number,
        }
        yield {
            "id": UUID(int=chance.getrandbits(128)),
            "project_id": run.project_id,
            "target_type": TargetType.TRACE,
            "target_id": str(trace.id),
            "name": metric,
            "status": ScoreStatus.FAILED if failed else ScoreStatus.SUCCESS,
            "source": ScoreSource.AUTOMATED,
            "data_type": ScoreType.NUMERIC,
            "value": None if failed else str(number),
            "number": None if failed else number,
            "reason": "No answer came." if failed else "The answer says what was asked.",
            "environment": trace.environment,
            "eval_run_id": run_id,
            "judge_calls": 1,
            "cached_calls": 0,
            "prompt_tokens": 1200,
            "completion_tokens": 90,
            "cost_usd": 0.0003,
            "metadata": {"threshold": 0.5, "success": number >= 0.5, "findings": [finding]},
            "created_at": run.ended_at,
            "updated_at": run.ended_at,
        }
