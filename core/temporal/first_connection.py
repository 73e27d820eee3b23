"""The first connection of a process to Temporal, by its settings."""

import asyncio
import contextlib
import logging
from typing import Final

from temporalio.client import Client
from temporalio.runtime import Runtime

from core.errors import Unavailable
from core.settings import Settings
from core.temporal.client import connect, ensure_search_attributes
from core.temporal.payload_codec import load_codec

RECONNECT_SECONDS: Final = 2.0

log = logging.getLogger("assay.worker")


async def connect_by_settings(
    settings: Settings, *, lazy: bool = False, runtime: Runtime | None = None
) -> Client:
    """As `connect`, with the codec of the settings. Raises Misconfigured."""
    return await connect(
        default_address=settings.temporal_address,
        codec=load_codec(settings.temporal_codec, settings.temporal_codec_keys),
        lazy=lazy,
        runtime=runtime,
    )


async def connected(
    settings: Settings, stop: asyncio.Event, runtime: Runtime | None = None
) -> Client | None:
    """Waits for Temporal without a limit; None if a signal to stop arrives first.

    Raises Misconfigured.
    """
    while not stop.is_set():
        try:
            client = await connect_by_settings(settings, runtime=runtime)
            await ensure_search_attributes(client, register=settings.temporal_register)
        except (RuntimeError, Unavailable) as error:
            log.warning("Temporal cannot be reached yet: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECONNECT_SECONDS):
                    await stop.wait()
        else:
            return client
    return None
