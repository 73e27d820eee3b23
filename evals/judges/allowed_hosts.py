"""The hosts that judge calls may reach, checked when a request leaves the process.

Names of models come from users, and client libraries interpret them in unknown ways. Whatever the
interpretation, a provider's key and the traces go to that provider only.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import urlsplit

from evals.judges.completion import ForbiddenHost

_allowed: ContextVar[frozenset[str]] = ContextVar("allowed_hosts", default=frozenset())


@contextmanager
def only(hosts: Collection[str]) -> Iterator[None]:
    """Allows these hosts within the block, in this task and in tasks that it starts.

    A name that begins with a dot stands for every host below that domain. Outside of all blocks no
    host is allowed.
    """
    token = _allowed.set(frozenset(hosts))
    try:
        yield
    finally:
        _allowed.reset(token)


def check(host: str | None) -> None:
    """Raises ForbiddenHost."""
    if not is_allowed(host, _allowed.get()):
        raise ForbiddenHost


def is_allowed(host: str | None, hosts: Collection[str]) -> bool:
    name = (host or "").lower().rstrip(".")
    return any(
        name == allowed or (allowed.startswith(".") and name.endswith(allowed)) for allowed in hosts
    )


def host_of(address: str) -> str:
    """The host of a URL; empty if the URL has none."""
    return (urlsplit(address).hostname or "").rstrip(".")
