"""A worker process: the composition root of workflows, activities and the judge.

Runs against any Temporal and any database; as many as one likes may run at once.
SIGTERM drains it: judge calls in flight are finished, nothing new is begun.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Final

import uvloop
from dotenv import load_dotenv
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.worker import Worker

from activities.judging import Judging
from activities.ledger import Ledger
from activities.monitors import Monitors
from activities.pairs import Pairs
from activities.runs import Runs
from activities.waiting import Waiting
from core import clock, logs, temporal
from core.clockwork import Clockwork
from core.database import Database
from core.errors import AssayError, JudgeUnusable, Misconfigured, Unavailable
from core.ids import ProjectId, RunStatus
from core.queries import runs, workers
from core.schedules import Schedules
from core.settings import Settings
from core.store import opened
from core.tables import EvalRun
from evals.judge import Judges
from evals.judges import JudgeConfig, configured_judges
from workflows.batch import EvalBatchWorkflow
from workflows.control import EvalRuns, Existence, RunToStart
from workflows.evaluation import EvalRunWorkflow
from workflows.monitor import MonitorWorkflow
from workflows.sandbox import LeanSandbox

PRESENCE_SECONDS: Final = 30.0
ORPHAN_SECONDS: Final = 20.0
RECONNECT_SECONDS: Final = 2.0
CATCH_UP_SECONDS: Final = 30.0
RECONCILE_SECONDS: Final = 3600.0

log = logging.getLogger("assay.worker")


async def main(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises AssayError when it cannot begin."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    judges = configured_judges(
        JudgeConfig(
            model=settings.judge_model,
            api_base=settings.judge_api_base,
            timeout_seconds=settings.judge_timeout_seconds,
            concurrency=settings.judge_concurrency,
            input_tokens=settings.judge_input_tokens,
            embedding_model=settings.embedding_model,
        )
    )
    judges.load()
    try:
        async with opened(settings) as database:
            client = await connected(settings, stop)
            # All that was loaded stays: the collector need not search it again and again, least
            # of all while a workflow has two seconds to answer.
            gc.collect()
            gc.freeze()
            if client is not None:
                await serve(settings, database, judges, client, stop)
    finally:
        await judges.close()


async def connected(settings: Settings, stop: asyncio.Event) -> Client | None:
    """Waits for Temporal as long as it takes; None when told to stop first."""
    address = f"127.0.0.1:{settings.temporal_port}"
    while not stop.is_set():
        try:
            client = await temporal.connect(default_address=address)
            await temporal.ensure_search_attributes(client)
        except (RuntimeError, Unavailable) as error:
            log.warning("Temporal cannot be reached yet: %s", error)
            await until(stop, seconds=RECONNECT_SECONDS)
        else:
            return client
    return None


async def serve(
    settings: Settings, database: Database, judges: Judges, client: Client, stop: asyncio.Event
) -> None:
    ledger, bookkeeping, judging = queues(settings, database, judges, client)
    eval_runs = EvalRuns(client, task_queue=settings.task_queue)
    clockwork = Clockwork(database, Schedules(client, task_queue=settings.task_queue))
    # The judge queue drains first: a pair that ends still needs the other two.
    async with (
        ledger,
        bookkeeping,
        judging,
        presence(database, judges),
        orphanage(database, eval_runs),
        ticking(clockwork),
    ):
        log.info(
            "Serving task queue %r with %d judge calls at once; default judge %s",
            settings.task_queue,
            settings.judge_concurrency,
            judges.default_model,
        )
        await stop.wait()
        log.info("Stopping: judge calls in flight have %.0f s", settings.shutdown_grace_seconds)


def queues(
    settings: Settings, database: Database, judges: Judges, client: Client
) -> tuple[Ledger, Worker, Worker]:
    """To be entered in this order."""
    ledger = Ledger(database)
    judging_ = Judging(database, judges, ledger)
    runs_, pairs = Runs(database), Pairs(database, judging_)
    monitors = Monitors(database, default_model=judges.default_model)
    grace = timedelta(seconds=settings.shutdown_grace_seconds)
    bookkeeping = Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[EvalRunWorkflow, EvalBatchWorkflow, MonitorWorkflow],
        activities=[
            runs_.resolve_targets,
            runs_.finish_run,
            pairs.list_pairs,
            pairs.fail_pair,
            monitors.open_due_run,
            Waiting(database).why_waiting,
        ],
        workflow_runner=LeanSandbox(),
        # Few at once: replaying many histories together starves the two-second deadlock check.
        max_concurrent_workflow_tasks=10,
        graceful_shutdown_timeout=grace,
    )
    judging = Worker(
        client,
        task_queue=temporal.judge_queue(settings.task_queue),
        activities=[pairs.judge_pair],
        # Twice what may be open at the provider: others look up, write down, or wait for a stage
        # that another pair has asked already.
        max_concurrent_activities=2 * settings.judge_concurrency,
        max_task_queue_activities_per_second=settings.judge_max_per_second,
        disable_eager_activity_execution=True,
        graceful_shutdown_timeout=grace,
    )
    return ledger, bookkeeping, judging


@contextlib.asynccontextmanager
async def presence(database: Database, judges: Judges) -> AsyncIterator[None]:
    """Tells the store what this worker offers, at once and again and again; never a key."""
    worker_id = f"{os.getpid()}@{socket.gethostname()}"
    started_at = clock.now()

    async def publish() -> None:
        async with database.write() as db:
            await workers.publish(
                db,
                worker_id=worker_id,
                started_at=started_at,
                default_model=judges.default_model,
                providers=[workers.ProviderRow(**asdict(row)) for row in judges.providers()],
            )

    async def beat() -> None:
        async with database.write() as db:
            await workers.beat(db, worker_id)

    await publish()
    async with (
        repeating(publish, every=PRESENCE_SECONDS),
        repeating(beat, every=workers.BEAT_SECONDS),
    ):
        yield
    try:
        async with database.write() as db:
            await workers.withdraw(db, worker_id)
    except (SQLAlchemyError, OSError) as error:
        # Its silence says the same within seconds.
        log.warning("The database cannot be told that this worker ends: %s", type(error).__name__)


@contextlib.asynccontextmanager
async def orphanage(database: Database, eval_runs: EvalRuns) -> AsyncIterator[None]:
    """Runs whose row and workflow parted are started or ended: nothing stands still for ever."""

    async def reconcile() -> None:
        async with database.read() as db:
            rows = await runs.unfinished(db, older_than_seconds=ORPHAN_SECONDS, limit=200)
        for row in rows:
            await reunite(database, eval_runs, row)

    async with repeating(reconcile, every=ORPHAN_SECONDS):
        yield


async def reunite(database: Database, eval_runs: EvalRuns, row: EvalRun) -> None:
    existence = await eval_runs.existence(row.id)
    if existence is Existence.OPEN:
        return
    if existence is Existence.ABSENT:
        # Never started, or lost with Temporal's data: what was judged is found in the store.
        log.warning("Temporal knows no workflow of run %s; starting it", row.id)
        await eval_runs.start(RunToStart.of(row), wait_seconds=0)
        return
    async with database.write() as db:
        # Changes nothing where the run has ended in good order since its row was read.
        await runs.finish(
            db,
            ProjectId(row.project_id),
            row.id,
            status=RunStatus.FAILED,
            error_message="Its workflow was ended from outside before every pair was judged. "
            "Scores so far were kept; retry the run to judge the rest.",
        )


@contextlib.asynccontextmanager
async def ticking(clockwork: Clockwork) -> AsyncIterator[None]:
    """Monitors' rows and schedules are brought together now and again and again."""
    async with (
        repeating(clockwork.reconcile, every=RECONCILE_SECONDS, at_once=True),
        repeating(clockwork.catch_up, every=CATCH_UP_SECONDS),
    ):
        yield


@contextlib.asynccontextmanager
async def repeating(
    work: Callable[[], Awaitable[None]], *, every: float, at_once: bool = False
) -> AsyncIterator[None]:
    """Does the work every so many seconds while the block runs. A failure waits for the next."""

    async def repeat() -> None:
        failing: type[Exception] | None = None
        if not at_once:
            await asyncio.sleep(every)
        while True:
            try:
                await work()
                failing = None
            except (AssayError, SQLAlchemyError, OSError) as error:
                # Once for each trouble: an outage must not fill the log.
                if type(error) is not failing:
                    log.warning("%s", error)
                failing = type(error)
            await asyncio.sleep(every)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(stop: asyncio.Event, *, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def run() -> int:
    # Provider keys may stand in .env beside our own settings; the environment comes first.
    load_dotenv(".env")
    logs.configure("INFO")
    try:
        settings = Settings.read()
        logs.configure(settings.log_level)
        uvloop.run(main(settings))
    except (Misconfigured, JudgeUnusable, Unavailable) as error:
        log.error("%s", error.message)
        return 2
    return 0


if __name__ == "__main__":
    code = run()
    logging.shutdown()
    sys.stdout.flush()
    # Temporal's threads may still hold on to Python objects; a regular exit then aborts now and
    # again (temporalio/sdk-python#300) and would look like a crash to whoever supervises us.
    os._exit(code)
