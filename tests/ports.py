"""Ports for servers that a test starts as processes."""

import os
import socket
from collections.abc import Iterator
from itertools import cycle

_FIRST = 20_000
_PER_PROCESS = 1_000


def _candidates() -> Iterator[int]:
    # Below the ports that the system gives to programs that ask for any port, so no other server
    # takes a port between this choice and the start of the process. Each process of pytest has its
    # own range. Suites of several checkouts begin at different ports.
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST + _PER_PROCESS * number
    begin = first + os.getpid() * 97 % _PER_PROCESS
    return cycle([*range(begin, first + _PER_PROCESS), *range(first, begin)])


_left = _candidates()


def free_port() -> int:
    for port in _left:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
