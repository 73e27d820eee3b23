"""The connection to Temporal, and the names that clients and workers share."""

import asyncio
import contextlib
import logging
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, Interceptor
from temporalio.common import SearchAttributeKey
from temporalio.converter import PayloadCodec
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from core.errors import Misconfigured, Unavailable
from core.telemetry import tracing
from core.temporal.payload_codec import data_converter
from core.temporal.process_identity import process_identity
from core.temporal.renewal import Renewable, connection_config

PROJECT: Final = SearchAttributeKey.for_keyword("AssayProject")
RUN_STATUS: Final = SearchAttributeKey.for_keyword("AssayRunStatus")
TARGET_TYPE: Final = SearchAttributeKey.for_keyword("AssayTargetType")
MONITOR: Final = SearchAttributeKey.for_keyword("AssayMonitor")
RUN_NAME: Final = SearchAttributeKey.for_keyword("AssayRunName")
SEARCH_ATTRIBUTES: Final = (PROJECT, RUN_STATUS, RUN_NAME, TARGET_TYPE, MONITOR)

MONITOR_WORKFLOW: Final = "MonitorWorkflow"
"""Type of the workflow that a monitor's schedule starts."""
PROJECT_DELETION_WORKFLOW: Final = "ProjectDeletionWorkflow"
COMPARISON_WORKFLOW: Final = "ComparisonWorkflow"
RETENTION_WORKFLOW: Final = "RetentionWorkflow"

_PASSING: Final = (
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
)

NOT_ALLOWED: Final = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED)
"""The answers of a service that keeps its search attributes to itself."""

REACH_SECONDS: Final = 5.0
"""How long a call to Temporal may take before Temporal counts as unavailable."""


log = logging.getLogger("assay.temporal")


def run_workflow_id(run_id: UUID) -> str:
    return f"eval-run-{run_id}"


def batch_workflow_id(run_id: UUID, number: int) -> str:
    return f"{run_workflow_id(run_id)}-batch-{number}"


def schedule_id(monitor_id: UUID) -> str:
    return f"eval-monitor-{monitor_id}"


def judge_queue(task_queue: str, provider: str | None = None) -> str:
    """The task queue of judge calls.

    There is one per provider, so that providers do not wait for each other. The queue without a
    provider is for models that no known worker has credentials for.
    """
    return f"{task_queue}-judge" + (f"-{provider}" if provider else "")


async def connect(
    *,
    default_address: str,
    codec: PayloadCodec | None = None,
    lazy: bool = False,
    runtime: Runtime | None = None,
) -> Client:
    """Connects with the settings of Temporal's own `TEMPORAL_*` variables and profiles.

    `default_address` is used when they name no address. A lazy client connects at its first call,
    so that its process can start while Temporal is unavailable. `Renewal` takes over changes of
    these settings.
    """
    return await Client.connect(
        **connection_config(default_address),
        data_converter=data_converter(codec),
        plugins=[Renewable()],
        interceptors=interceptors(),
        identity=process_identity(),
        lazy=lazy,
        runtime=runtime,
    )


def interceptors() -> list[Interceptor]:
    """Interceptors that pass spans from clients through workflows to activities; empty while
    tracing is off.
    """
    tracer = tracing.tracer()
    if tracer is None:
        return []
    from temporalio.contrib.opentelemetry import TracingInterceptor

    return [TracingInterceptor(tracer)]


async def namespace_of(client: Client) -> str:
    """A unique text for the namespace of this client. Raises Unavailable.

    The id distinguishes namespaces with the same name. Unlike the id of a cluster, it stays the
    same when a replicated namespace moves to another cluster.
    """
    with unavailable():
        async with asyncio.timeout(REACH_SECONDS):
            described = await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=client.namespace)
            )
    info = described.namespace_info
    return f"{info.name[:200]} ({info.id})"


async def ensure_search_attributes(client: Client, *, register: bool = True) -> None:
    """Registers missing search attributes, or only checks them.

    Raises Misconfigured if an attribute is missing in the end, or has another type. A workflow
    that sets an unregistered attribute never continues, so a worker must not start before this
    succeeds.
    """
    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
        missing = missing_attributes(known.custom_attributes)
        if missing and not register:
            raise Misconfigured(
                f"Temporal lacks the search attributes {', '.join(missing)}, and "
                f"ASSAY_TEMPORAL_REGISTER is off. {_registering(missing, client.namespace)}"
            )
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(
                    namespace=client.namespace,
                    search_attributes=dict.fromkeys(
                        missing, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
                    ),
                )
            )
    except RPCError as error:
        if error.status == RPCStatusCode.ALREADY_EXISTS:
            return  # Another worker registered the attributes between the two calls.
        if error.status in _PASSING:
            raise Unavailable("Temporal", "Try again in a moment.") from error
        if error.status == RPCStatusCode.NOT_FOUND:
            raise Misconfigured(
                f"Temporal has no namespace {client.namespace!r}. Create it, or set "
                "TEMPORAL_NAMESPACE to one that exists."
            ) from error
        if not register and error.status in NOT_ALLOWED:
            log.info("Temporal does not list its search attributes, so they are not checked.")
            return
        names = [key.name for key in SEARCH_ATTRIBUTES]
        raise Misconfigured(
            f"Temporal refused to register search attributes ({error.message}). "
            f"{_registering(names, client.namespace)} Then set ASSAY_TEMPORAL_REGISTER=false."
        ) from error
    check_types(known.custom_attributes)


def missing_attributes(known: Container[str]) -> list[str]:
    return [key.name for key in SEARCH_ATTRIBUTES if key.name not in known]


def register_command(names: Iterable[str], namespace: str) -> str:
    """What an operator types to register the attributes."""
    options = " ".join(f"--name {name} --type Keyword" for name in names)
    return f"temporal operator search-attribute create {options} --namespace {namespace}"


def _registering(names: Iterable[str], namespace: str) -> str:
    return (
        f"Register them: {register_command(names, namespace)}. In Temporal Cloud, make them in "
        "its UI or with tcld."
    )


def check_types(known: Mapping[str, Any]) -> None:
    """Raises Misconfigured for an attribute of another type, which would block every run."""
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    wrong = [key.name for key in SEARCH_ATTRIBUTES if known.get(key.name, keyword) != keyword]
    if wrong:
        raise Misconfigured(
            f"The search attributes {', '.join(wrong)} exist in Temporal with another type than "
            "Keyword. Remove them there; a worker registers them again."
        )


@contextlib.contextmanager
def unavailable(*, besides: RPCStatusCode | None = None) -> Iterator[None]:
    """Translates connection errors to Unavailable, except errors with the status `besides`."""
    try:
        yield
    except RPCError as error:
        if error.status is besides:
            raise
        raise Unavailable("Temporal", "Try again in a moment.") from error
    except (TimeoutError, RuntimeError) as error:
        # A lazy client that cannot connect raises a plain RuntimeError.
        raise Unavailable("Temporal", "Try again in a moment.") from error
