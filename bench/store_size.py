"""Bytes of the database per pair: `python -m bench.store_size`.

Stores one run over `--traces` traces by three metrics: scores with two findings each, targets, and
one judge's answer per trace, as a bundled run does. Traces are not counted, because their size
depends on the agent. With `--database`, the URL of an empty PostgreSQL database.
"""

import argparse
import asyncio
import tempfile
from hashlib import sha256
from typing import Final
from uuid import UUID

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from bench import scored_runs
from bench.filled_store import A_STATEMENT, LAST, METRICS
from core import migrations
from core.db.database import Database
from core.db.tables import metadata
from core.ids import ProjectId
from core.queries import projects

TABLES: Final = ("score", "judgement", "eval_run_target")

_OF_SQLITE: Final = """
    SELECT schema.tbl_name, SUM(dbstat.pgsize) FROM dbstat
    JOIN sqlite_schema AS schema ON schema.name = dbstat.name GROUP BY schema.tbl_name
"""
_OF_POSTGRES: Final = "SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables"


async def sizes(database: Database) -> dict[str, int]:
    """The bytes of each table with its indexes."""
    of_sqlite = database.engine.dialect.name == "sqlite"
    async with database.read() as db:
        rows = await db.execute(text(_OF_SQLITE if of_sqlite else _OF_POSTGRES))
        return {name: int(size) for name, size in rows if name in TABLES}


async def fill(database: Database, traces: int) -> None:
    async with database.write() as db:
        project_id = await projects.ensure(db, "default")
    run_id = await scored_runs.fill(database, project_id, traces, seed=1)
    for first in range(0, traces, A_STATEMENT):
        numbers = range(first, min(first + A_STATEMENT, traces))
        targets = [
            {
                **{"run_id": run_id, "seq": number, "pair_count": len(METRICS)},
                "target_id": str(UUID(int=number << 64)),
            }
            for number in numbers
        ]
        answers = [_answer(project_id, run_id, number) for number in numbers]
        async with database.write() as db:
            await db.execute(metadata.tables["eval_run_target"].insert(), targets)
            await db.execute(metadata.tables["judgement"].insert(), answers)


def _answer(project_id: ProjectId, run_id: UUID, number: int) -> dict[str, object]:
    part = {
        "findings": [
            {"kind": "wish", "verdict": "met", "text": "The order is found.", "steps": [2]},
            {"kind": "breach", "verdict": "lapse", "text": "The refund was not announced."},
        ],
        "reason": "The answer says what was asked and the tools were called for it.",
    }
    return {
        **{"project_id": project_id, "key": sha256(str(number).encode()).hexdigest()},
        **{"model": scored_runs.MODEL, "answer": dict.fromkeys(METRICS, part)},
        **{"prompt_tokens": 2700, "completion_tokens": 270, "cost_usd": 0.0012, "calls": 1},
        **{"paid_by": f"{run_id}/{UUID(int=number << 64)}", "created_at": LAST},
    }


async def main(url: str, traces: int) -> None:
    database = Database(url)
    try:
        await migrations.upgrade(database)
        before = await sizes(database)
        await fill(database, traces)
        after = await sizes(database)
    finally:
        await database.close()
    pairs = traces * len(METRICS)
    table = Table("table with its indexes", "bytes per pair")
    grown = {name: after[name] - before.get(name, 0) for name in TABLES}
    for name, size in (*grown.items(), ("all", sum(grown.values()))):
        table.add_row(name, f"{size / pairs:,.0f}")
    Console().print(f"{pairs:,} pairs, {database.engine.dialect.name}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--traces", type=int, default=50_000)
    parser.add_argument("--database", help="URL of an empty database; SQLite when unset.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        asyncio.run(main(given.database or f"sqlite:///{folder}/assay.db", given.traces))
