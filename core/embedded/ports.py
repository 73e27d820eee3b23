"""Ports of the local stack."""

import socket
from typing import Final

from core.errors import Misconfigured
from core.settings import Settings

LOCALHOST: Final = "127.0.0.1"

CODEC_PORT: Final = 8234
"""Port of `assay codec-endpoint`, which decodes payloads for Temporal's UI."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


def check_ports(settings: Settings, *, with_temporal: bool, workers: int = 1) -> None:
    """Raises Misconfigured if a port is configured twice or is in use."""
    wanted = [(settings.api_host, settings.api_port, "The API", "ASSAY_API_PORT")]
    if with_temporal:
        wanted += [
            (LOCALHOST, settings.temporal_port, "Temporal", "ASSAY_TEMPORAL_PORT"),
            (LOCALHOST, settings.temporal_ui_port, "Temporal's UI", "ASSAY_TEMPORAL_UI_PORT"),
        ]
    if (first := settings.telemetry_port) is not None:
        wanted += [
            (settings.telemetry_host, first + number, "A worker", "ASSAY_TELEMETRY_PORT")
            for number in range(workers)
        ]
    given: dict[int, str] = {}
    for host, port, user, setting in wanted:
        if port in given:
            raise Misconfigured(f"{given[port]} and {setting} are both {port}. Change one.")
        given[port] = setting
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            # Servers set this option too, so a port whose connections are in TIME_WAIT counts as
            # free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise Misconfigured(
                    f"{user} needs port {port} on {host}, which is not free "
                    f"({error.strerror}). Stop what uses it, or set {setting} to another port."
                ) from None
