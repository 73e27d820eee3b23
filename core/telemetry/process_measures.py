"""Measures that every process of Assay has."""

from collections.abc import Callable
from importlib import metadata

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from sqlalchemy.pool import QueuePool

from core.db.database import Database


def process_registry() -> CollectorRegistry:
    """Memory, CPU and open files of this process, and the version of Assay."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    about = Gauge("assay_info", "1, with the version.", ("version",), registry=registry)
    about.labels(metadata.version("assay")).set(1)
    return registry


def add_gauge(
    registry: CollectorRegistry, name: str, about: str, value: Callable[[], float]
) -> None:
    """A gauge without labels whose value is read at each scrape."""
    Gauge(name, about, registry=registry).set_function(value)


def add_database(registry: CollectorRegistry, database: Database) -> None:
    pool = database.engine.pool
    if not isinstance(pool, QueuePool):
        return
    add_gauge(
        registry,
        "assay_database_connections_in_use",
        "Connections that are in use.",
        pool.checkedout,
    )
    add_gauge(
        registry,
        "assay_database_connections_kept",
        "Connections that the process keeps open; it may open ten more.",
        pool.size,
    )
