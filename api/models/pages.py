from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from core.paging import Page

Item = TypeVar("Item")

LAST_OFFSET = 2**31 - 1


class PageQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="How many to answer at most.")
    offset: int = Field(0, ge=0, le=LAST_OFFSET, description="How many to leave out first.")

    @property
    def page(self) -> Page:
        return Page(self.limit, self.offset)


class PageOf(BaseModel, Generic[Item]):
    items: list[Item]
    total: int = Field(
        description="How many there are on all pages; from 5 000 on it may be some seconds old."
    )
    limit: int
    offset: int
