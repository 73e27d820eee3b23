"""The cost of a pair in Temporal and PostgreSQL: `python -m bench.pair_actions`.

An action is what Temporal Cloud bills. A history does not contain heartbeats, so `--latency` should
be short: a pair that ends within 20 seconds sends no heartbeat.

With `--database`, the URL of an empty PostgreSQL database, also its transactions and its
write-ahead log. They count all processes, also while a run waits, so use many traces.
"""

import argparse
import asyncio
from collections import Counter
from typing import Final, NamedTuple

import asyncpg
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError

from bench.claims import Claim, ended, post, report, store
from bench.run import METRICS
from bench.stack import embedded, mock_judge

MAX_ACTIONS: Final = 1.2
MAX_BATCHES: Final = 1_000

STATISTICS_SECONDS: Final = 12.0
"""An idle connection of PostgreSQL publishes its statistics after ten seconds."""

ACTIONS: Final = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: 1,
    # The child's own start is counted in its history.
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: 1,
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: 1,
    EventType.EVENT_TYPE_TIMER_STARTED: 1,
    EventType.EVENT_TYPE_MARKER_RECORDED: 1,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: 1,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: 1,
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: 1,
}
"""Actions by kind of event. Each further attempt of an activity is another action."""


def actions_of(history: WorkflowHistory) -> int:
    kinds = Counter(event.event_type for event in history.events)
    retries = sum(
        event.activity_task_started_event_attributes.attempt - 1
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED
    )
    return retries + sum(count * ACTIONS.get(kind, 0) for kind, count in kinds.items())


async def histories(temporal: Client, run_id: str) -> list[WorkflowHistory]:
    """The histories of the run and its batches; the run must not have continued as new."""
    workflow_id = f"eval-run-{run_id}"
    found = [await temporal.get_workflow_handle(workflow_id).fetch_history()]
    for number in range(MAX_BATCHES):
        try:
            batch = temporal.get_workflow_handle(f"{workflow_id}-batch-{number}")
            found.append(await batch.fetch_history())
        except RPCError:
            break
    return found


class DatabaseWork(NamedTuple):
    """Totals of one database since it was created, and the connections to it now."""

    transactions: int
    log_bytes: int
    connections: int


async def database_work(url: str) -> DatabaseWork:
    await asyncio.sleep(STATISTICS_SECONDS)
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(
            "SELECT xact_commit, (pg_current_wal_lsn() - '0/0')::bigint, numbackends - 1 "
            "FROM pg_stat_database WHERE datname = current_database()"
        )
    finally:
        await connection.close()
    return DatabaseWork(*row)


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--traces", type=int, default=200)
    parser.add_argument("--latency", type=float, default=10.0, help="Seconds per judge call.")
    parser.add_argument("--database", help="URL of an empty PostgreSQL database.")
    options = parser.parse_args()
    settings = {"ASSAY_JUDGE_CONCURRENCY": "100"}
    if options.database:
        settings["ASSAY_DATABASE_URL"] = options.database
    work: list[DatabaseWork] = []
    async with (
        mock_judge("--latency", str(options.latency)) as judge,
        embedded(judge, settings=settings) as stack,
    ):
        await store(stack, options.traces)
        if options.database:
            work.append(await database_work(options.database))
        run = await ended(stack, await post(stack, METRICS, first=0, count=options.traces))
        if options.database:
            work.append(await database_work(options.database))
        found = await histories(await Client.connect(stack.temporal), run["id"])
    pairs = options.traces * len(METRICS)
    actions = sum(actions_of(history) for history in found) / pairs
    events = sum(len(history.events) for history in found) / pairs
    size = sum(event.ByteSize() for history in found for event in history.events) / pairs
    report(
        f"{pairs} pairs, judge calls of {options.latency:g} s, {len(found)} workflows",
        [
            Claim(
                "actions per pair",
                f"{actions:.2f}",
                f"≤ {MAX_ACTIONS}",
                actions <= MAX_ACTIONS,
            ),
            Claim("history events per pair", f"{events:.1f}"),
            Claim("history bytes per pair", f"{size:,.0f}"),
            *_of_database(work, pairs),
        ],
    )


def _of_database(work: list[DatabaseWork], pairs: int) -> list[Claim]:
    if not work:
        return []
    before, after = work
    return [
        Claim("transactions per pair", f"{(after.transactions - before.transactions) / pairs:.2f}"),
        Claim("log bytes per pair", f"{(after.log_bytes - before.log_bytes) / pairs:,.0f}"),
        Claim("connections to the database", str(after.connections)),
    ]


if __name__ == "__main__":
    asyncio.run(main())
