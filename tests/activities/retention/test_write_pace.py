"""How long transactions of a sweep last, and how much of the time they take."""

import asyncio

import pytest

from activities.retention import write_pace
from activities.retention.write_pace import MAX_ROWS, MIN_ROWS, TARGET_SECONDS, WritePace
from core.db.database import Database, Writer


class Clockwork:
    """A clock that moves only when the test says so, and the pauses between transactions."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def perf_counter(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def clockwork(monkeypatch: pytest.MonkeyPatch) -> Clockwork:
    made = Clockwork()
    monkeypatch.setattr(write_pace, "time", made)
    monkeypatch.setattr(write_pace, "MAX_PAUSE_SECONDS", 1.0)
    monkeypatch.setattr(asyncio, "sleep", made.sleep)
    return made


async def test_transactions_take_about_their_time_and_a_quarter_of_all_time(
    sqlite: Database, clockwork: Clockwork
) -> None:
    paced, seconds_per_row = WritePace(sqlite), 0.0001
    sizes: list[int] = []

    async def work(db: Writer) -> None:
        sizes.append(paced.rows)
        clockwork.now += paced.rows * seconds_per_row

    for _ in range(30):
        await paced.write(work)
    assert sizes[0] == MIN_ROWS
    assert sizes[-1] * seconds_per_row == pytest.approx(TARGET_SECONDS, rel=0.1)
    assert max(sizes) * seconds_per_row < write_pace.MAX_HELD_SECONDS
    assert sum(clockwork.pauses) == pytest.approx(3 * clockwork.now)
    seconds_per_row = 0.002  # the disk has become slow
    await paced.write(work)
    await paced.write(work)
    assert sizes[-1] == MIN_ROWS


async def test_a_fast_database_does_not_make_transactions_endless(
    sqlite: Database, clockwork: Clockwork
) -> None:
    paced = WritePace(sqlite)

    async def work(db: Writer) -> None:
        clockwork.now += 1e-9

    for _ in range(30):
        await paced.write(work)
    assert paced.rows == MAX_ROWS


async def test_the_wait_for_other_writers_does_not_count(
    sqlite: Database, clockwork: Clockwork
) -> None:
    paced = WritePace(sqlite)

    async def work(db: Writer) -> None:
        clockwork.now += 0.01

    async with sqlite.write():
        writing = asyncio.create_task(paced.write(work))
        clockwork.now += 99.0
    await writing
    assert paced.longest == pytest.approx(0.01)
