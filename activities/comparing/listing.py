"""Lists the items of a comparison page by page, for any number of items."""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from activities.comparing import reading
from activities.comparing.gathering import changed_item, place_of_item, place_of_pair
from activities.comparing.partitions import Sided
from activities.comparing.plan import Plan
from core.db.database import Database
from core.db.paging import Page
from core.pairing import KeyedScore, Paired, pair
from core.statistics.score_pair import ScorePair


class ItemKind(StrEnum):
    """Kinds of items: with numbers on both sides, by their change; or unpaired, by the reason."""

    PAIRS = "pairs"
    LOST = "lost"
    WON = "won"
    TIED = "tied"
    TO_FAIL = "to_fail"
    TO_PASS = "to_pass"
    ONLY_BASELINE = "only_baseline"
    ONLY_CANDIDATE = "only_candidate"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"


_CHOSEN: Final[dict[ItemKind, Callable[[ScorePair], bool]]] = {
    ItemKind.PAIRS: lambda _: True,
    ItemKind.LOST: lambda one: one.difference < 0,
    ItemKind.WON: lambda one: one.difference > 0,
    ItemKind.TIED: lambda one: one.difference == 0,
    ItemKind.TO_FAIL: lambda one: one.baseline_passed and not one.candidate_passed,
    ItemKind.TO_PASS: lambda one: one.candidate_passed and not one.baseline_passed,
}


@dataclass(slots=True)
class Listed:
    """`items` are pairs in the form of the comparison's result; `keys` name unpaired items.

    `total` counts the whole list.
    """

    total: int = 0
    items: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


async def page_of(
    database: Database, plan: Plan, metric: str, kind: ItemKind, page: Page
) -> Listed:
    """A page of the list: pairs that crossed the threshold come first, then the largest changes."""
    listed = Listed()
    most = page.offset + page.limit
    async with database.read() as db:
        async for part in reading.parts(db, plan, [metric]):
            await asyncio.to_thread(_take, listed, part, plan.thresholds[metric], kind, most)
    listed.items, listed.keys = listed.items[page.offset :], listed.keys[page.offset :]
    return listed


def _take(listed: Listed, part: list[Sided], threshold: float, kind: ItemKind, most: int) -> None:
    """Keeps the first `most` items of the list so far."""
    sides: tuple[list[KeyedScore], list[KeyedScore]] = ([], [])
    for side, _, score in part:
        sides[side].append(score)
    paired = pair(*sides, threshold=threshold)
    if kind in _CHOSEN:
        _take_pairs(listed, paired, _CHOSEN[kind], most)
        return
    keys: list[str] = getattr(paired.left, kind.value)
    listed.total += len(keys)
    listed.keys = heapq.nsmallest(most, [*listed.keys, *keys])


def _take_pairs(
    listed: Listed, paired: Paired, chosen: Callable[[ScorePair], bool], most: int
) -> None:
    pairs = [one for one in paired.pairs if chosen(one)]
    listed.total += len(pairs)
    # Keeps at most `most` items per part, because the list has no more.
    first = heapq.nsmallest(most, pairs, key=place_of_pair)
    items = [*listed.items, *(changed_item(one, paired) for one in first)]
    listed.items = heapq.nsmallest(most, items, key=place_of_item)
