"""The ids of the current work of a process, for its log lines."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

request_id: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)

_ALL: Final = (
    request_id,
    *(ContextVar[str | None](name, default=None) for name in ("project_id", "run_id", "trace_id")),
)


def known() -> dict[str, str]:
    """The current ids by name."""
    found = ((variable.name, variable.get()) for variable in _ALL)
    return {name: value for name, value in found if value is not None}


@contextmanager
def scope(**ids: object) -> Iterator[None]:
    """Sets ids by name for the block. Ids that the block sets end with the block."""
    tokens = [variable.set(variable.get()) for variable in _ALL]
    try:
        put(**ids)
        yield
    finally:
        for variable, token in zip(_ALL, tokens, strict=True):
            variable.reset(token)


def put(**ids: object) -> None:
    """Sets ids by name for the rest of the enclosing `scope`."""
    for variable in _ALL:
        if variable.name in ids:
            variable.set(str(ids[variable.name]))
