"""Ends open streams whose key is no longer usable."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from core.errors import Unauthenticated

CHECK_SECONDS: Final = 2.0


class KeyWatch:
    """Checks again, every `CHECK_SECONDS`, the key that opened a stream.

    `check` raises Unauthenticated once the key is unusable.
    """

    def __init__(self, check: Callable[[], Awaitable[object]]) -> None:
        self._check = check
        self._checked_at = time.monotonic()

    async def may_continue(self) -> bool:
        if time.monotonic() - self._checked_at < CHECK_SECONDS:
            return True
        try:
            await self._check()
        except Unauthenticated:
            return False
        self._checked_at = time.monotonic()
        return True
