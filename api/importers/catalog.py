"""The catalog of sources: every module of this package that defines a SOURCE."""

import pkgutil
from functools import cache
from importlib import import_module

import api.importers
from api.importers.source import Json, Source


@cache
def sources() -> tuple[Source, ...]:
    found = (
        getattr(import_module(f"api.importers.{module.name}"), "SOURCE", None)
        for module in pkgutil.iter_modules(api.importers.__path__)
    )
    return tuple(source for source in found if isinstance(source, Source))


def recognized(record: Json) -> Source | None:
    """The source of a record; None for a trace in Assay's own form and for unknown records."""
    return next((source for source in sources() if source.recognizes(record)), None)
