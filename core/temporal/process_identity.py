"""The name of this process in Temporal and in the store."""

import os
import secrets
import socket
from typing import Final

_START: Final = secrets.token_hex(3)


def process_identity() -> str:
    """Process id, a random part and the host, such as `7-1f3a9c@host`.

    Unique per start of a process: in a container, every start has the same process id and host.
    """
    return f"{os.getpid()}-{_START}@{socket.gethostname()}"
