"""The port on which a worker exposes its measures, those of Temporal's SDK, and its health."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import httpx
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from core.embedded.ports import LOCALHOST, free_port
from core.errors import Misconfigured
from core.telemetry.log_lines import LogFormat
from core.telemetry.sdk_logging import sdk_logging

TEXT_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"

_TRIES: Final = 5
_SCRAPE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class SdkMeasures:
    """The runtime whose clients and workers are measured, and the address of its measures."""

    runtime: Runtime
    port: int

    async def text(self) -> bytes:
        async with httpx.AsyncClient(trust_env=False, timeout=_SCRAPE_SECONDS) as client:
            answer = await client.get(f"http://{LOCALHOST}:{self.port}/metrics")
        return answer.raise_for_status().content


def measured_runtime(log_format: LogFormat = "text") -> SdkMeasures:
    """Exposes the SDK's measures on a free port of the loopback interface."""
    for _ in range(_TRIES):
        port = free_port()
        config = PrometheusConfig(
            bind_address=f"{LOCALHOST}:{port}",
            counters_total_suffix=True,
            unit_suffix=True,
            durations_as_seconds=True,
        )
        telemetry = TelemetryConfig(metrics=config, logging=sdk_logging(log_format))
        try:
            return SdkMeasures(Runtime(telemetry=telemetry), port)
        except ValueError:
            continue  # another process took the port meanwhile
    raise Misconfigured("No port of 127.0.0.1 is free for the measures of Temporal's SDK.")


@asynccontextmanager
async def exposed(
    host: str,
    port: int,
    registries: list[CollectorRegistry],
    sdk: SdkMeasures,
    fault: Callable[[], str | None],
) -> AsyncIterator[None]:
    """Serves `/metrics` and `/health` while the block runs.

    `fault` returns why the worker takes no work, or None while it serves.

    Raises Misconfigured if the port is not free.
    """

    async def scrape(_: web.Request) -> web.Response:
        parts = [generate_latest(registry) for registry in registries]
        # The worker's own measures are useful even without those of the SDK.
        with suppress(httpx.HTTPError):
            parts.append(await sdk.text())
        return web.Response(body=b"".join(parts), headers={"Content-Type": TEXT_FORMAT})

    async def health(_: web.Request) -> web.Response:
        if (reason := fault()) is not None:
            return web.json_response({"status": "unavailable", "reason": reason}, status=503)
        return web.json_response({"status": "ok"})

    app = web.Application()
    app.router.add_get("/health", health)
    app.router.add_get("/metrics", scrape)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise Misconfigured(
                f"The worker needs port {port} on {host} for its measures, which is not free "
                f"({error.strerror}). Stop what uses it, or set ASSAY_TELEMETRY_PORT to another "
                "port."
            ) from None
        yield
    finally:
        await runner.cleanup()
