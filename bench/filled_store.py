"""Fills a database with many traces, three scores per trace and two scores per session."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from core.db.database import Database
from core.db.tables import EvalRun, Score, metadata
from core.ids import ProjectId, RunStatus, ScoreSource, ScoreStatus, ScoreType, TargetType

SPAN_OF_TIME = timedelta(days=365)
LAST = datetime(2026, 10, 1, tzinfo=UTC)
TRACES_PER_SESSION = 5
SESSION_METRICS = ("agent_reliability", "agent_consistency")
METRICS = ("task_completion", "tool_correctness", "step_efficiency")
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-haiku-4-5", None)
A_STATEMENT = 10_000
USERS = 10_000

Row = dict[str, Any]


async def find(database: Database) -> UUID | None:
    """The run of a database that was filled earlier."""
    async with database.read() as db:
        return await db.scalar(select(col(EvalRun.id)).where(col(EvalRun.created_at) == LAST))


async def trace_of(database: Database, run_id: UUID) -> UUID:
    """A trace that the run judged."""
    async with database.read() as db:
        found = await db.execute(
            select(col(Score.target_id)).where(col(Score.eval_run_id) == run_id).limit(1)
        )
    return UUID(found.scalar_one())


async def fill(
    database: Database, project_id: ProjectId, traces: int, last: datetime = LAST
) -> UUID:
    """Returns a run with a hundredth of the scores. `last`: the start of the newest trace."""
    chance = random.Random(traces)
    run_id = UUID(int=chance.getrandbits(128))
    async with database.write() as db:
        await db.execute(metadata.tables["eval_run"].insert(), [_run(project_id, run_id, last)])
    for first in range(0, traces, A_STATEMENT):
        numbers = range(first, min(first + A_STATEMENT, traces))
        rows = [_trace(project_id, number, traces, chance, last) for number in numbers]
        scores = [score for row in rows for score in _scores(row, run_id, chance)]
        of_sessions = rows[::TRACES_PER_SESSION]
        scores += [score for row in of_sessions for score in _session_scores(row, chance)]
        async with database.write() as db:
            await db.execute(metadata.tables["trace"].insert(), rows)
            await db.execute(metadata.tables["span"].insert(), [_span(row, chance) for row in rows])
            await db.execute(
                metadata.tables["trace_tag"].insert(),
                [
                    {
                        "project_id": project_id,
                        "trace_id": row["id"],
                        "tag": tag,
                        "started_at": row["started_at"],
                    }
                    for row in rows
                    for tag in (f"team-{row['id'].int % 20}", f"build-{row['id'].int % 2000}")
                ],
            )
            await db.execute(metadata.tables["score"].insert(), scores)
    async with database.write() as db:
        await (await db.connection()).exec_driver_sql("ANALYZE")
    return run_id


async def fill_traces(database: Database, project_id: ProjectId, traces: int) -> None:
    """Stores only traces, which is ten times as fast as with their scores."""
    chance = random.Random(traces)
    for first in range(0, traces, A_STATEMENT):
        numbers = range(first, min(first + A_STATEMENT, traces))
        rows = [_trace(project_id, number, traces, chance) for number in numbers]
        async with database.write() as db:
            await db.execute(metadata.tables["trace"].insert(), rows)


def _run(project_id: ProjectId, run_id: UUID, at: datetime) -> Row:
    return {
        "id": run_id,
        "project_id": project_id,
        "target_type": TargetType.TRACE,
        "status": RunStatus.COMPLETED,
        "metric_names": list(METRICS),
        "filters": {},
        "sampling_rate": 1.0,
        "model": "offline/rules",
        "fresh": False,
        **dict.fromkeys(("total_targets", "evaluated_count", "failed_count"), 0),
        **dict.fromkeys(("created_at", "admitted_at", "resolved_at", "completed_at"), at),
    }


def _trace(
    project_id: ProjectId, number: int, of: int, chance: random.Random, last: datetime = LAST
) -> Row:
    # About evenly distributed over the period, newest last.
    started_at = last - SPAN_OF_TIME * (1 - number / of)
    latency = round(chance.lognormvariate(8, 1), 3)
    tokens = chance.randrange(100, 20_000)
    return {
        "project_id": project_id,
        "id": UUID(int=chance.getrandbits(128)),
        "name": f"{chance.choice(('support', 'booking', 'research'))}-agent {number % 1000}",
        "status": "ERROR" if chance.random() < 0.05 else "COMPLETED",
        "started_at": started_at,
        "ended_at": started_at + timedelta(milliseconds=latency),
        "session_id": f"session-{number // TRACES_PER_SESSION}",
        "user_id": f"user-{chance.randrange(USERS)}",
        "environment": chance.choice(("production", "staging")),
        "release": None,
        "latency_ms": latency,
        "span_count": 1,
        "total_tokens": tokens,
        "prompt_tokens": tokens - 50,
        "completion_tokens": 50,
        "total_cost": tokens / 1e6,
        "ingested_at": started_at,
        "updated_at": started_at,
        "metadata": {},
        "input": "Where is my order?",
        "output": "It leaves tomorrow. " * 20,
    }


def _span(trace: Row, chance: random.Random) -> Row:
    same = ("started_at", "ended_at", "total_tokens", "prompt_tokens", "completion_tokens")
    return {
        name: trace[name] for name in (*same, "project_id", "total_cost", "input", "output")
    } | {
        "trace_id": trace["id"],
        "id": UUID(int=chance.getrandbits(128)),
        "parent_span_id": None,
        "name": "chat",
        "kind": "LLM",
        "status": "OK",
        "model": chance.choice(MODELS),
        "token_usage": {"total_tokens": trace["total_tokens"]},
        "cost": {"total": trace["total_cost"]},
        "metadata": {},
    }


def _scores(trace: Row, run_id: UUID, chance: random.Random) -> Iterator[Row]:
    of_run = trace["id"].int % 100 == 0
    for metric in METRICS:
        yield _score(trace, metric, chance) | {
            "target_type": TargetType.TRACE,
            "target_id": str(trace["id"]),
            "environment": trace["environment"],
            "eval_run_id": run_id if of_run else None,
        }


def _session_scores(trace: Row, chance: random.Random) -> Iterator[Row]:
    for metric in SESSION_METRICS:
        yield _score(trace, metric, chance) | {
            "target_type": TargetType.SESSION,
            "target_id": trace["session_id"],
            "environment": None,
            "eval_run_id": None,
        }


def _score(trace: Row, metric: str, chance: random.Random) -> Row:
    number = round(chance.betavariate(5, 2), 2)
    failed = chance.random() < 0.02
    made_at = trace["started_at"] + timedelta(hours=1)
    return {
        "id": UUID(int=chance.getrandbits(128)),
        "project_id": trace["project_id"],
        "name": metric,
        "status": ScoreStatus.FAILED if failed else ScoreStatus.SUCCESS,
        "source": ScoreSource.AUTOMATED,
        "data_type": ScoreType.NUMERIC,
        "value": None if failed else str(number),
        "number": None if failed else number,
        "reason": "The answer says what was asked and the tools were called for it.",
        **dict.fromkeys(("judge_calls", "cached_calls"), 0),
        **dict.fromkeys(("prompt_tokens", "completion_tokens"), 0),
        "metadata": {"threshold": 0.5, "success": number >= 0.5},
        "created_at": made_at,
        "updated_at": made_at,
    }
