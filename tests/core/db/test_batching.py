import asyncio
from collections.abc import Mapping, Sequence

import pytest

from core.db.batching import Batcher


class Ledger:
    """Writes batches when the test allows it, and records the items of each batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_write = asyncio.Event()

    async def write(self, items: Sequence[int]) -> int:
        await self.may_write.wait()
        if 13 in items:
            raise ValueError("13 is refused")
        self.batches.append(list(items))
        return len(self.batches)


async def test_what_arrives_during_a_write_is_written_together_afterwards() -> None:
    ledger = Ledger()
    batcher: Batcher[int, int] = Batcher(ledger.write)
    submits = [asyncio.create_task(batcher.submit(n)) for n in range(5)]
    await asyncio.sleep(0)
    ledger.may_write.set()
    assert await asyncio.gather(*submits) == [1, 1, 1, 1, 1]
    assert ledger.batches == [[0, 1, 2, 3, 4]]


async def test_a_lone_item_waits_for_nobody() -> None:
    ledger = Ledger()
    ledger.may_write.set()
    batcher: Batcher[int, int] = Batcher(ledger.write)
    assert await batcher.submit(1) == 1
    assert await batcher.submit(2) == 2


async def test_a_bad_item_fails_alone() -> None:
    ledger = Ledger()
    batcher: Batcher[int, int] = Batcher(ledger.write)
    submits = [asyncio.create_task(batcher.submit(n)) for n in (1, 13, 2)]
    await asyncio.sleep(0)
    ledger.may_write.set()
    results = await asyncio.gather(*submits, return_exceptions=True)
    assert isinstance(results[1], ValueError)
    assert sorted(n for batch in ledger.batches for n in batch) == [1, 2]


async def test_a_submitter_that_leaves_takes_nobody_along() -> None:
    ledger = Ledger()
    batcher: Batcher[int, int] = Batcher(ledger.write)
    leaving = asyncio.create_task(batcher.submit(1))
    staying = asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0)
    leaving.cancel()
    ledger.may_write.set()
    assert await staying == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert ledger.batches == [[1, 2]]


async def test_nobody_waits_for_work_that_was_cancelled() -> None:
    async def cancelled(items: Sequence[int]) -> int:
        raise asyncio.CancelledError

    batcher: Batcher[int, int] = Batcher(cancelled, max_size=1)
    submits = [asyncio.create_task(batcher.submit(n)) for n in (1, 2)]
    done, _ = await asyncio.wait(submits, timeout=5)
    assert done == set(submits)
    assert all(task.cancelled() for task in done)


async def test_no_batch_is_larger_than_allowed() -> None:
    ledger = Ledger()
    batcher: Batcher[int, int] = Batcher(ledger.write, max_size=2)
    submits = [asyncio.create_task(batcher.submit(n)) for n in range(5)]
    ledger.may_write.set()
    await asyncio.gather(*submits)
    assert [len(batch) for batch in ledger.batches] == [2, 2, 1]


async def test_a_busy_batcher_gathers_for_as_long_as_it_is_told() -> None:
    ledger = Ledger()
    ledger.may_write.set()
    batcher: Batcher[int, int] = Batcher(ledger.write, every=0.05)
    began = asyncio.get_running_loop().time()
    await batcher.submit(1)
    await asyncio.gather(*(batcher.submit(n) for n in (2, 3)))
    assert ledger.batches == [[1], [2, 3]]
    assert asyncio.get_running_loop().time() - began >= 0.05


async def test_a_full_batch_does_not_wait_for_more() -> None:
    ledger = Ledger()
    ledger.may_write.set()
    batcher: Batcher[int, int] = Batcher(ledger.write, max_size=2, every=3600)
    async with asyncio.timeout(10):
        await batcher.submit(1)
        await asyncio.gather(*(batcher.submit(n) for n in (2, 3)))
    assert ledger.batches == [[1], [2, 3]]


async def test_many_waiting_items_end_the_wait_of_a_busy_batcher() -> None:
    ledger = Ledger()
    ledger.may_write.set()
    batcher: Batcher[int, int] = Batcher(ledger.write, every=3600, soon=3)
    async with asyncio.timeout(10):
        await batcher.submit(1)
        first = asyncio.create_task(batcher.submit(2))
        for _ in range(5):
            await asyncio.sleep(0)
        assert ledger.batches == [[1]], "it waits for more"
        await asyncio.gather(first, batcher.submit(3), batcher.submit(4))
    assert ledger.batches == [[1], [2, 3, 4]]


async def test_lookups_by_key_share_a_batch_and_get_their_own_values() -> None:
    batches: list[list[str]] = []

    async def lengths(words: Sequence[str]) -> Mapping[str, int]:
        batches.append(list(words))
        return {word: len(word) for word in words if word != "unknown"}

    batcher: Batcher[str, Mapping[str, int]] = Batcher(lengths)
    found = await asyncio.gather(*(batcher.by_key(word) for word in ("a", "unknown", "abc")))
    assert found == [1, None, 3]
    assert batches == [["a", "unknown", "abc"]]


async def test_a_database_that_is_away_is_asked_once_for_a_whole_batch() -> None:
    asked = 0

    async def write(items: Sequence[int]) -> None:
        nonlocal asked
        asked += 1
        raise ConnectionRefusedError

    batcher: Batcher[int, None] = Batcher(write)
    submits = (batcher.submit(n) for n in range(5))
    results = await asyncio.gather(*submits, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionRefusedError] * 5
    assert asked == 1
