"""A worker process: the composition root of workflows, activities and judges.

Any number of workers may use one Temporal and one database. SIGTERM drains a worker: the worker
finishes its open judge calls and begins no new ones.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import uvloop
from dotenv import load_dotenv
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.comparisons import Comparisons
from activities.diagnostics import Diagnostics, pairs_of_others, silent_workers
from activities.judging.trace_processes import TraceProcesses
from activities.judging.traces import TraceJudging
from activities.judging.write_buffer import WriteBuffer
from activities.monitors import Monitors
from activities.open_pairs import PairLister
from activities.pairs import Pairs
from activities.project_deletion import ProjectDeletion
from activities.retention.sweeping import Retention
from activities.runs import Runs
from core.db.database import Database
from core.errors import JudgeUnusable, Misconfigured, Unavailable
from core.open_database import open_database
from core.periodic import repeating
from core.settings import Settings
from core.telemetry import log_lines, tracing
from core.telemetry.sdk_logging import logging_runtime
from core.telemetry.worker_port import measured_runtime
from core.temporal import client as temporal_client
from core.temporal.first_connection import connected
from core.temporal.renewal import RENEW_SECONDS, Renewal
from core.temporal.retention_schedule import RetentionSchedule
from core.temporal.schedule_sync import ScheduleSync
from core.temporal.schedules import Schedules
from evals.judges.protocol import Judges
from evals.judges.registry import JudgeConfig, configured_judges
from workflows.comparison import ComparisonWorkflow
from workflows.eval_batch import EvalBatchWorkflow
from workflows.eval_run import EvalRunWorkflow
from workflows.legacy import LEGACY_WORKFLOWS
from workflows.maintenance import audit_log
from workflows.maintenance.admission import RunAdmission
from workflows.maintenance.audit_log import PRUNE_SECONDS
from workflows.maintenance.ownership import check_ownership
from workflows.maintenance.presence import presence
from workflows.maintenance.retention import scheduling_retention
from workflows.maintenance.runs import caring_for_runs
from workflows.maintenance.schedules import syncing_schedules
from workflows.maintenance.telemetry import exposing_measures
from workflows.maintenance.trace_settling import SETTLE_SECONDS, settle
from workflows.maintenance_client import MaintenanceClient
from workflows.monitor import MonitorWorkflow
from workflows.pinned import PinnedEvalBatch
from workflows.project_deletion import ProjectDeletionWorkflow
from workflows.retention import RetentionWorkflow
from workflows.sandbox_runner import runner_for

WORKFLOWS: Final[tuple[type, ...]] = (
    *(EvalRunWorkflow, EvalBatchWorkflow, MonitorWorkflow),
    *(ProjectDeletionWorkflow, ComparisonWorkflow, RetentionWorkflow),
    *LEGACY_WORKFLOWS,
)

MAX_CACHED_WORKFLOWS: Final = 5_000
"""Cached workflows, about 0.3 MB each. A workflow that is not cached is replayed at each step."""

MAX_ACTIVITIES_BESIDE_CALLS: Final = 200
"""Judge activities of a worker without an open call: they read traces, write scores, or wait for
the answer to a question that another pair asked. That takes under half a second, and a worker ends
fewer than 400 pairs per second. Each activity holds its trace in memory.
"""

HEARTBEAT_THROTTLE: Final = timedelta(seconds=10)

MAX_BOOKKEEPING_GRACE: Final = timedelta(seconds=8)
"""The judge queues drain first and get the whole grace period; bookkeeping takes only moments."""

log = logging.getLogger("assay.worker")


async def main(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises AssayError if the worker cannot start."""
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
            client=settings.judge_client,
            embedding_model=settings.embedding_model,
        )
    )
    judges.load()
    try:
        sdk = measured_runtime(settings.log_format) if settings.telemetry_port else None
        runtime = sdk.runtime if sdk else logging_runtime(settings.log_format)
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(open_database(settings))
            if sdk is not None and settings.telemetry_port:
                host, port = settings.telemetry_host, settings.telemetry_port
                exposing = exposing_measures(host, port, database, judges, sdk)
                await stack.enter_async_context(exposing)
            client = await connected(settings, stop, runtime)
            # A full collection over the start-up heap could exceed the two seconds that a workflow
            # has to answer; a low threshold examines the objects of open pairs again and again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(10_000, 20, 20)
            if client is not None:
                await serve(settings, database, judges, client, stop)
    finally:
        await judges.close()


async def serve(
    settings: Settings, database: Database, judges: Judges, client: Client, stop: asyncio.Event
) -> None:
    eval_runs = MaintenanceClient(
        client,
        task_queue=settings.task_queue,
        pairs_of_others=pairs_of_others(database),
        silent_workers=silent_workers(database),
    )
    await check_ownership(database, await eval_runs.namespace(), adopt=settings.adopt_runs)
    admission = RunAdmission(database, eval_runs, settings.open_runs)
    schedules = ScheduleSync(database, Schedules(client, task_queue=settings.task_queue))
    sweeps = RetentionSchedule(client, task_queue=settings.task_queue)
    renewal = Renewal(client, settings.temporal_address)
    async with (
        polling(settings, database, judges, client, on_finish=admission.wake) as workers,
        repeating(partial(renewal.renew, workers), every=RENEW_SECONDS),
        admission.running(),
        presence(
            database,
            judges,
            partial(eval_runs.pollers, within_seconds=temporal_client.REACH_SECONDS),
            judge_max_per_second=settings.judge_max_per_second,
        ),
        caring_for_runs(database, eval_runs),
        syncing_schedules(database, schedules),
        scheduling_retention(database, sweeps, settings.retention),
        repeating(
            partial(settle, database, settings.trace_settle_seconds),
            every=min(SETTLE_SECONDS, settings.trace_settle_seconds),
        ),
        repeating(partial(audit_log.prune, database, settings.audit_days), every=PRUNE_SECONDS),
    ):
        log.info(
            "Serving task queue %r with %d judge calls at once per provider; default judge %s",
            settings.task_queue,
            settings.judge_concurrency,
            judges.default_model,
        )
        await stop.wait()
        log.info("Stopping: open judge calls have %.0f s", settings.shutdown_grace_seconds)


@contextlib.asynccontextmanager
async def polling(
    settings: Settings,
    database: Database,
    judges: Judges,
    client: Client,
    *,
    on_finish: Callable[[], None] = lambda: None,
) -> AsyncIterator[list[Worker]]:
    """Polls every task queue while the block runs.

    The judge queues drain first, all at once, because the end of a pair still needs its workflow
    and the write buffer.
    """
    namespace = await temporal_client.namespace_of(client)
    queues = _Queues(settings, database, judges, client, namespace)
    async with WriteBuffer(database) as buffer, TraceProcesses() as processes:
        judging_traces = TraceJudging(database, judges, buffer, processes)
        pairs = Pairs(database, judging_traces, PairLister(database))
        bookkeeping = queues.bookkeeping(pairs, Runs(database, on_finish))
        async with judging_traces.budgets, bookkeeping:
            judging = [queues.judging(pairs, name) for name in queues.judge_queues()]
            started: list[Worker] = []
            try:
                for worker in judging:
                    await worker.__aenter__()
                    started.append(worker)
                yield [bookkeeping, *started]
            finally:
                await asyncio.gather(*(one.__aexit__(None, None, None) for one in started))


@dataclass(frozen=True)
class _Queues:
    settings: Settings
    database: Database
    judges: Judges
    client: Client
    namespace: str

    @property
    def _grace(self) -> timedelta:
        return timedelta(seconds=self.settings.shutdown_grace_seconds)

    @property
    def _deployment(self) -> WorkerDeploymentConfig | None:
        """Batches stay with their version; runs and monitors continue with the current version."""
        build = self.settings.deployment_version
        if build is None:
            return None
        return WorkerDeploymentConfig(
            version=WorkerDeploymentVersion(self.settings.task_queue, build),
            use_worker_versioning=True,
            default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
        )

    def bookkeeping(self, pairs: Pairs, runs: Runs) -> Worker:
        monitors = Monitors(
            self.database,
            default_model=self.judges.default_model,
            open_runs=self.settings.open_runs,
            quota=self.settings.run_quota,
            namespace=self.namespace,
        )
        deletion = ProjectDeletion(self.database)
        comparisons = Comparisons(self.database)
        retention = Retention(self.database, self.settings.retention)
        return Worker(
            self.client,
            task_queue=self.settings.task_queue,
            workflows=[
                PinnedEvalBatch if self._deployment and one is EvalBatchWorkflow else one
                for one in WORKFLOWS
            ],
            deployment_config=self._deployment,
            activities=[
                *(runs.resolve_targets, runs.finish_run),
                *(pairs.list_pairs, pairs.open_pairs, pairs.fail_pair),
                monitors.open_due_run,
                *(deletion.mark, deletion.delete_rows, deletion.finish),
                *(comparisons.compare, comparisons.fail),
                *(retention.find_expired, retention.delete_expired, retention.end_sweep),
                Diagnostics(self.database).why_waiting,
            ],
            workflow_runner=runner_for(self.client.data_converter),
            max_cached_workflows=MAX_CACHED_WORKFLOWS,
            # Few replays at once: many concurrent replays exceed the two seconds of the SDK's
            # deadlock check.
            max_concurrent_workflow_tasks=10,
            max_workflow_task_external_storage_concurrency=1,  # more means a task per payload
            graceful_shutdown_timeout=min(self._grace, MAX_BOOKKEEPING_GRACE),
        )

    def judge_queues(self) -> list[str]:
        """One queue per provider, and one for models that no worker has credentials for."""
        name = self.settings.task_queue
        providers = [status.key for status in self.judges.providers() if status.available]
        return [
            temporal_client.judge_queue(name),
            *(temporal_client.judge_queue(name, key) for key in providers),
        ]

    def judging(self, pairs: Pairs, task_queue: str) -> Worker:
        calls = self.settings.judge_concurrency
        return Worker(
            self.client,
            task_queue=task_queue,
            activities=[pairs.judge_pair, pairs.judge_bundle],
            deployment_config=self._deployment,
            max_concurrent_activities=calls + min(calls, MAX_ACTIVITIES_BESIDE_CALLS),
            max_task_queue_activities_per_second=self.settings.judge_max_per_second,
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            disable_eager_activity_execution=True,
            graceful_shutdown_timeout=self._grace,
        )


def run() -> int:
    # The .env file may hold provider keys besides Assay's settings; the environment takes
    # precedence.
    load_dotenv(".env")
    log_lines.configure("INFO")
    try:
        settings = Settings.read()
        log_lines.configure(settings.log_level, settings.log_format)
        with tracing.running("assay-worker", os.environ):  # noqa: TID251  OpenTelemetry's own variables
            uvloop.run(main(settings))
    except (Misconfigured, JudgeUnusable, Unavailable) as error:
        log.error("%s", error.message)
        return 2
    return 0


if __name__ == "__main__":
    code = run()
    logging.shutdown()
    sys.stdout.flush()
    # Temporal's threads may still hold Python objects. A regular exit then sometimes aborts
    # (temporalio/sdk-python#300), which looks like a crash to the supervisor.
    os._exit(code)
