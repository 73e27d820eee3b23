"""How much each owner uses at the moment."""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class OwnerCounts:
    """Forgets owners that use nothing, because their number is unlimited."""

    def __init__(self) -> None:
        self._used: Counter[Hashable] = Counter()

    @property
    def total(self) -> int:
        return self._used.total()

    def of(self, owner: Hashable) -> int:
        return self._used[owner]

    def add(self, owner: Hashable, amount: int = 1) -> None:
        self._used[owner] += amount

    def remove(self, owner: Hashable, amount: int = 1) -> None:
        self._used[owner] -= amount
        if not self._used[owner]:
            del self._used[owner]

    @contextmanager
    def using(self, owner: Hashable) -> Iterator[None]:
        """Counts one use until the block ends."""
        self.add(owner)
        try:
            yield
        finally:
            self.remove(owner)
