"""Pages of a list for clients, and chunks of a list for statements."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Select, func

if TYPE_CHECKING:
    from core.db.database import Reader

MAX_IDS_PER_STATEMENT: Final = 5_000
"""Ids per statement; below the parameter limit of both databases."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list: at most `limit` rows after the first `offset`."""

    limit: int = 50
    offset: int = 0


async def fetch(db: "Reader", query: Select[Item], page: Page) -> tuple[list[Item], int]:
    """The rows of the page, and the total without limit and offset.

    `query` selects one entity or column, and orders it.
    """
    total = await db.totals.count(db, count_of(query))
    return list(await db.scalars(on_page(query, page))), total


def on_page(query: Select[Item], page: Page) -> Select[Item]:
    """The query for only the rows of the page, for lists that compute their total separately."""
    return query.limit(page.limit).offset(page.offset)


def count_of(query: Select[Any]) -> Select[int]:
    """The number of rows that a query without grouping selects."""
    return query.with_only_columns(func.count(), maintain_column_froms=True).order_by(None)


def chunks(items: Sequence[Item], size: int = MAX_IDS_PER_STATEMENT) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def chunks_by_size(
    items: Iterable[tuple[Item, int]], *, count: int, size: int
) -> Iterator[list[Item]]:
    """Chunks of at most `count` items, whose sizes add up to at most `size`.

    A larger item has a chunk of its own.
    """
    chunk: list[Item] = []
    left = size
    for item, of_item in items:
        if chunk and (len(chunk) == count or of_item > left):
            yield chunk
            chunk, left = [], size
        chunk.append(item)
        left -= of_item
    if chunk:
        yield chunk
