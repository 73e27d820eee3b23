"""Checks of Temporal: the namespace, search attributes, who polls, and its clock."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, timedelta
from typing import Final
from uuid import uuid4

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentRequest,
    PollActivityTaskQueueRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api.doctor.check_result import CheckResult, counted, fine, problem, warning
from api.doctor.database import clock_result
from core import clock
from core.concurrency import cancel_and_wait
from core.db.database import Database
from core.errors import Misconfigured
from core.queries import run_upkeep, workers
from core.temporal import client as temporal_client

TEMPORAL: Final = "Temporal"
NAMESPACE: Final = "namespace"
ATTRIBUTES: Final = "search attributes"
QUEUES: Final = "task queues"
VERSIONS: Final = "worker versions"
OWNERS: Final = "owner of the runs"
CLOCK: Final = "clock of Temporal"

MIN_RETENTION: Final = timedelta(days=1)
LONG_POLL_SECONDS: Final = 60.0
"""Temporal warns of shorter polls. This one is cancelled as soon as Temporal has heard of it."""

LOOKS: Final = 20
LOOK_SECONDS: Final = 0.1


async def reach(client: Client) -> CheckResult:
    """Raises RPCError and RuntimeError."""
    await client.service_client.check_health()
    return fine(TEMPORAL, "Temporal answers.")


async def namespace(client: Client) -> CheckResult:
    try:
        described = await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace)
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return problem(
            NAMESPACE,
            f"Temporal has no namespace {client.namespace!r}.",
            f"Create it (`temporal operator namespace create --namespace {client.namespace}`), or "
            "set TEMPORAL_NAMESPACE to one that exists.",
        )
    kept = described.config.workflow_execution_retention_ttl.ToTimedelta()
    if timedelta(0) < kept < MIN_RETENTION:
        return warning(
            NAMESPACE,
            f"The namespace {client.namespace!r} keeps closed workflows for {kept}.",
            "Keep them for a day at least (`temporal operator namespace update --retention 3d "
            f"--namespace {client.namespace}`): until then their pages say why a run failed, and "
            "a run that ended is not taken for one that never started.",
        )
    return fine(NAMESPACE, f"The namespace {client.namespace!r} keeps closed workflows for {kept}.")


async def attributes(client: Client, *, registers: bool) -> CheckResult:
    """`registers`: whether workers register what is missing."""
    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        if error.status not in temporal_client.NOT_ALLOWED:
            raise
        return _unlisted(client.namespace, registers=registers)
    custom = known.custom_attributes
    missing = temporal_client.missing_attributes(custom)
    if missing:
        return problem(
            ATTRIBUTES,
            f"Temporal lacks the search attributes {', '.join(missing)}.",
            "A worker registers them when it starts. If it may not: "
            f"`{temporal_client.register_command(missing, client.namespace)}`.",
        )
    try:
        temporal_client.check_types(custom)
    except Misconfigured as error:
        sentence, _, remedy = error.message.partition(". ")
        return problem(ATTRIBUTES, f"{sentence}.", remedy)
    return fine(ATTRIBUTES, "All search attributes are registered.")


def _unlisted(namespace: str, *, registers: bool) -> CheckResult:
    sentence = "Temporal does not list its search attributes, so they cannot be checked."
    if not registers:
        return fine(ATTRIBUTES, sentence)  # Workers start without the check, too.
    names = [key.name for key in temporal_client.SEARCH_ATTRIBUTES]
    return problem(
        ATTRIBUTES,
        sentence,
        "No worker starts. Set ASSAY_TEMPORAL_REGISTER=false, and register them yourself: "
        f"`{temporal_client.register_command(names, namespace)}`.",
    )


async def queues(client: Client, database: Database, task_queue: str) -> list[CheckResult]:
    async with database.read() as db:
        offer = await workers.offered(db)
    if not offer.seen:
        return []  # Without workers nobody polls; that is a result of its own.
    pollers = {
        task_queue: await _pollers(client, task_queue, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW)
    }
    for key in (None, *(one.key for one in offer.providers if one.available)):
        name = temporal_client.judge_queue(task_queue, key)
        pollers[name] = await _pollers(client, name, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
    silent = [name for name, found in pollers.items() if not found]
    if silent:
        return [
            problem(
                QUEUES,
                f"No worker polls {', '.join(silent)}.",
                "The workers of this database serve another ASSAY_TASK_QUEUE, TEMPORAL_ADDRESS or "
                "TEMPORAL_NAMESPACE, or hang: give all processes the same, then restart them.",
            )
        ]
    return [
        fine(QUEUES, f"Workers poll all {len(pollers)} task queues."),
        await _versions(client, task_queue, pollers[task_queue]),
    ]


async def _pollers(client: Client, name: str, kind: "TaskQueueType.ValueType") -> list[PollerInfo]:
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=name), task_queue_type=kind
        )
    )
    return list(described.pollers)


async def _versions(client: Client, deployment: str, pollers: Iterable[PollerInfo]) -> CheckResult:
    builds = {one.deployment_options.build_id for one in pollers} - {""}
    if not builds:
        return fine(VERSIONS, "The workers are not versioned.")
    described = await client.workflow_service.describe_worker_deployment(
        DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=deployment)
    )
    routing = described.worker_deployment_info.routing_config
    current = routing.current_deployment_version.build_id
    command = (
        "temporal worker deployment set-current-version "
        f"--deployment-name {deployment} --build-id <one of them> --namespace {client.namespace}"
    )
    if current in builds:
        return fine(VERSIONS, f"Runs go to version {current}, which workers serve.")
    served = ", ".join(sorted(builds))
    if not current:
        return problem(
            VERSIONS,
            f"No version is current, so no run begins; workers serve {served}.",
            f"Run `{command}`.",
        )
    return problem(
        VERSIONS,
        f"Runs go to version {current}, which no worker serves; workers serve {served}.",
        f"Start workers of {current}, or run `{command}`.",
    )


async def owner(client: Client, database: Database) -> CheckResult:
    here = await temporal_client.namespace_of(client)
    async with database.read() as db:
        others = await run_upkeep.of_others(db, here)
    if not others:
        return fine(OWNERS, "All unfinished runs belong to this Temporal.")
    return problem(
        OWNERS,
        f"{counted(sum(others.values()), 'unfinished run')} of the Temporal namespace "
        f"{', '.join(sorted(others))} do not belong to {here}.",
        "Correct TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE. If the other Temporal is lost for good, "
        "start one worker with ASSAY_ADOPT_RUNS=true.",
    )


async def clocks(client: Client, task_queue: str) -> CheckResult | None:
    """Polls a queue without tasks, because Temporal tells when it last heard from a poller.

    None if Temporal does not tell in time.
    """
    name, identity = f"{task_queue}-doctor", f"assay doctor {uuid4()}"
    poll = PollActivityTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=name), identity=identity
    )
    began = clock.now()
    polling = asyncio.create_task(
        client.workflow_service.poll_activity_task_queue(
            poll, timeout=timedelta(seconds=LONG_POLL_SECONDS)
        )
    )
    try:
        for _ in range(LOOKS):
            pollers = await _pollers(client, name, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
            mine = [one for one in pollers if one.identity == identity]
            if mine:
                heard = mine[0].last_access_time.ToDatetime(UTC)
                middle = began + (clock.now() - began) / 2
                return clock_result(CLOCK, "Temporal", heard - middle)
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await cancel_and_wait(polling)
    return None
