"""The connection to Temporal, and the names both of its sides agree on."""

import contextlib
from collections.abc import Iterator
from typing import Final
from uuid import UUID

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from core.errors import Misconfigured, Unavailable

PROJECT: Final = SearchAttributeKey.for_keyword("AssayProject")
RUN_STATUS: Final = SearchAttributeKey.for_keyword("AssayRunStatus")
TARGET_TYPE: Final = SearchAttributeKey.for_keyword("AssayTargetType")
MONITOR: Final = SearchAttributeKey.for_keyword("AssayMonitor")
SEARCH_ATTRIBUTES: Final = (PROJECT, RUN_STATUS, TARGET_TYPE, MONITOR)

MONITOR_WORKFLOW: Final = "Monitor"
"""Type of the workflow that a monitor's schedule starts."""

REACH_SECONDS: Final = 5.0
"""How long a call to Temporal may take before it counts as away."""


def run_workflow_id(run_id: UUID) -> str:
    return f"eval-run-{run_id}"


def batch_workflow_id(run_id: UUID, number: int) -> str:
    return f"{run_workflow_id(run_id)}-batch-{number}"


def schedule_id(monitor_id: UUID) -> str:
    return f"eval-monitor-{monitor_id}"


def judge_queue(task_queue: str) -> str:
    """Judge calls are queued apart, so that their limits never hold up bookkeeping."""
    return f"{task_queue}-judge"


async def connect(
    *, default_address: str, lazy: bool = False, runtime: Runtime | None = None
) -> Client:
    """Connects as Temporal's own `TEMPORAL_*` variables and profiles say.

    `default_address` counts when they name none. A lazy client connects at its
    first call, so that its process can start while Temporal is away.
    """
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", default_address)
    return await Client.connect(
        **config, data_converter=pydantic_data_converter, lazy=lazy, runtime=runtime
    )


async def ensure_search_attributes(client: Client) -> None:
    """Registers what is missing. Raises Misconfigured where the server does not allow that.

    A workflow that sets an unregistered attribute never gets past it, so a
    worker must not start before this succeeds.
    """
    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
        missing = [key.name for key in SEARCH_ATTRIBUTES if key.name not in known.custom_attributes]
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
            return  # Another worker registered them between our two calls.
        names = " ".join(f"--name {key.name} --type Keyword" for key in SEARCH_ATTRIBUTES)
        raise Misconfigured(
            f"Temporal refused to register search attributes ({error.message}). Register them by "
            f"hand: temporal operator search-attribute create {names}"
        ) from error


@contextlib.contextmanager
def unavailable(*, besides: RPCStatusCode | None = None) -> Iterator[None]:
    """Errors of the connection become Unavailable; a status the caller expects passes."""
    try:
        yield
    except RPCError as error:
        if error.status is besides:
            raise
        raise Unavailable("Temporal", "Try again in a moment.") from error
    except (TimeoutError, RuntimeError) as error:
        # A lazy client that cannot connect raises a plain RuntimeError.
        raise Unavailable("Temporal", "Try again in a moment.") from error
