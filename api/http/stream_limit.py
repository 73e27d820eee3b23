"""Limits the number of open event streams per project."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import RateLimited
from core.ids import ProjectId
from core.owner_counts import OwnerCounts

_RETRY_SECONDS = 5.0


class StreamLimit:
    """Counts the streams of this process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = OwnerCounts()

    def check(self, project_id: ProjectId) -> None:
        """Raises RateLimited."""
        if self._open.of(project_id) >= self._most:
            raise RateLimited(
                f"This project has {self._most} event streams open, as many as "
                "ASSAY_MAX_EVENT_STREAMS allows.",
                retry_after=_RETRY_SECONDS,
            )

    @contextmanager
    def open(self, project_id: ProjectId) -> Iterator[None]:
        """Counts one stream. Raises RateLimited."""
        self.check(project_id)
        with self._open.using(project_id):
            yield
