from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from core.db.paging import Page

Item = TypeVar("Item")

MAX_OFFSET: Final = 2**31 - 1


class PageQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="Maximum number of items.")
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="Number of items to skip.")

    @property
    def page(self) -> Page:
        return Page(self.limit, self.offset)


class PageOf(BaseModel, Generic[Item]):
    items: list[Item]
    total: int = Field(
        description="Number of items on all pages; a total from 5,000 on may be seconds old."
    )
    limit: int
    offset: int

    @classmethod
    def of(cls, query: PageQuery, items: Sequence[Item], total: int) -> "PageOf[Item]":
        return PageOf[Item](items=list(items), total=total, limit=query.limit, offset=query.offset)
