"""The paths that health checks and Prometheus ask: they need no key and contain no content."""

from typing import Final

PROBES: Final = ("/health", "/ready", "/metrics")
