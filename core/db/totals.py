"""Totals of lists. Large totals are remembered for a while.

Counting a million rows takes longer than reading one page of them, and a few rows more or less do
not matter for such a total. A large total is therefore remembered for a hundred times as long as
its count took, so counting takes at most a hundredth of the time. Small totals are always counted.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from cachetools import TLRUCache
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

LARGE_TOTAL: Final = 5_000
MAX_REMEMBERED_TOTALS: Final = 1000
MAX_TOTAL_AGE_SECONDS: Final = 30.0
_AGE_PER_COUNTING_TIME: Final = 100

_Query = tuple[str, str]
_Counted = tuple[int, float]


def _expires_at(_query: _Query, counted: _Counted, now: float) -> float:
    _, counting_seconds = counted
    return now + min(MAX_TOTAL_AGE_SECONDS, _AGE_PER_COUNTING_TIME * counting_seconds)


class Totals:
    """The large totals that one process remembers, by the text and parameters of their query."""

    def __init__(
        self,
        *,
        max_remembered: int = MAX_REMEMBERED_TOTALS,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timer = timer
        self._remembered: TLRUCache[_Query, _Counted] = TLRUCache(
            max_remembered, ttu=_expires_at, timer=timer
        )

    def __len__(self) -> int:
        return len(self._remembered)

    async def count(self, db: AsyncSession, query: Select[Any], *, large: int = LARGE_TOTAL) -> int:
        """The result of the counting query. A total of at least `large` may be seconds old."""
        compiled = query.compile(dialect=db.get_bind().dialect)
        key = (compiled.string, repr(compiled.params))
        remembered = self._remembered.get(key)
        if remembered is not None:
            return remembered[0]
        began = self._timer()
        total = await db.scalar(query) or 0
        if total >= large:
            self._remembered[key] = (total, self._timer() - began)
        return total
