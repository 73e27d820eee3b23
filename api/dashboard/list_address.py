"""Common parts of the addresses of all lists."""

from enum import StrEnum
from typing import Final, TypeVar

from pydantic import BaseModel, Field

from core.db.paging import Page
from core.safe_text import PlainText

MAX_OFFSET: Final = 10_000_000

Member = TypeVar("Member", bound=StrEnum)


class ListAddress(BaseModel):
    """The parameters of the page's address; an empty parameter has no value."""

    offset: int = Field(0, ge=0, le=MAX_OFFSET)

    def page(self, size: int) -> Page:
        return Page(size, self.offset)


class SortedListAddress(ListAddress):
    since: PlainText = ""
    sort: PlainText = ""


def member(kind: type[Member], text: str) -> Member | None:
    """The member of the enumeration with this value; None for an unknown value."""
    return kind(text) if text in list(kind) else None
