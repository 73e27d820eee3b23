"""Exposes the measures and the health of a worker while it runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.db.database import Database
from core.telemetry import measures, worker_port
from core.telemetry.process_measures import add_database, process_registry
from core.telemetry.serving_state import OWN_STATE
from core.telemetry.worker_port import SdkMeasures
from evals.judges.protocol import Judges
from evals.judges.throttle_gauges import ThrottleGauges


@asynccontextmanager
async def exposing_measures(
    host: str, port: int, database: Database, judges: Judges, sdk: SdkMeasures
) -> AsyncIterator[None]:
    """Raises Misconfigured if the port is not free."""
    own = process_registry()
    add_database(own, database)
    own.register(ThrottleGauges(judges.throttles))
    async with worker_port.exposed(host, port, [measures.REGISTRY, own], sdk, OWN_STATE.fault):
        yield
