"""How many rows a list has in all.

Counting a million rows takes longer than reading the page it is shown with, and whoever looks
at such a list does not see whether ten came in since. A large total that took long to count is
therefore remembered a hundred times as long as it took: at most a hundredth of the time goes
into counting. Small totals are always counted.
"""

import time
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Pool, Select

from core.database import Reader

LARGE: Final = 5_000
_REMEMBERED_TIMES_AS_LONG = 100
_MOST_SECONDS = 30.0
_MOST_REMEMBERED = 1000

_Name = tuple[str, str]

_totals: WeakKeyDictionary[Pool, dict[_Name, tuple[float, int]]] = WeakKeyDictionary()


async def count(db: Reader, query: Select[Any], *, large: int = LARGE) -> int:
    """What the counting query says, or said a moment ago if that was at least `large`."""
    bind = db.get_bind()
    compiled = query.compile(dialect=bind.dialect)
    name = (compiled.string, repr(compiled.params))
    remembered = _totals.setdefault(bind.engine.pool, {})
    until, total = remembered.get(name, (0.0, 0))
    began = time.monotonic()
    if began < until:
        return total
    total = await db.scalar(query) or 0
    if total >= large:
        now = time.monotonic()
        if len(remembered) >= _MOST_REMEMBERED:
            remembered.clear()
        keep = min(_MOST_SECONDS, _REMEMBERED_TIMES_AS_LONG * (now - began))
        remembered[name] = (now + keep, total)
    return total
