"""Pages are sent before their slow parts, which follow."""

import asyncio

import pytest

from api.dashboard.slow_parts import SlowParts
from tests.api.conftest import Service
from tests.api.dashboard.conftest import Browser, store_run

PART = {"Assay-Part": "1"}


async def test_a_part_that_is_late_is_there_for_who_asks_next() -> None:
    parts = SlowParts(patience_seconds=0.0)
    go_on = asyncio.Event()
    begun = 0

    async def work() -> str:
        nonlocal begun
        begun += 1
        await go_on.wait()
        return "done"

    assert await parts.in_time("key", work) is None
    assert await parts.in_time("key", work) is None
    go_on.set()
    assert await parts.whole("key", work) == "done"
    assert await parts.in_time("key", work) == "done"
    assert begun == 1


async def test_a_part_that_fails_is_begun_anew() -> None:
    parts = SlowParts(patience_seconds=0.0)
    fails = True

    async def work() -> str:
        await asyncio.sleep(0)
        if fails:
            raise RuntimeError("The database is away.")
        return "done"

    assert await parts.in_time("key", work) is None
    with pytest.raises(RuntimeError):
        await parts.whole("key", work)
    fails = False
    assert await parts.whole("key", work) == "done"


async def test_work_that_no_page_waits_for_ends_with_the_process() -> None:
    parts = SlowParts(patience_seconds=0.0)
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    await parts.in_time("key", work)
    await asyncio.sleep(0)
    await parts.close()
    assert ended


async def test_pages_that_need_longer_ask_for_their_rest(
    sqlite_service: Service, sqlite_writer: Browser
) -> None:
    trace_id = await sqlite_service.post_trace(tags=["blue"])
    run_id = await store_run(sqlite_service, [(trace_id, "task_completion", 0.25)])
    sqlite_service.app.state.stack.slow_parts.patience_seconds = 0.0
    for path in ("/traces", f"/scores?run={run_id}", "/metrics", "/sessions", "/search?q=night"):
        page = (await sqlite_writer.get(path)).text
        assert f'data-fragment="{sqlite_writer.project}{path}"' in page, path
        rest = await sqlite_writer.client.get(f"{sqlite_writer.project}{path}", headers=PART)
        assert "<html" not in rest.text, path
        assert "<h1" in rest.text, path
        joiner = "&" if "?" in path else "?"
        whole = (await sqlite_writer.get(f"{path}{joiner}whole=1")).text
        assert "<html" in whole, path
        assert "data-fragment" not in whole, path


async def test_parts_of_a_page_that_need_longer_have_a_place_in_it(
    sqlite_service: Service, sqlite_writer: Browser
) -> None:
    trace_id = await sqlite_service.post_trace(tags=["blue"])
    run_id = await store_run(sqlite_service, [(trace_id, "task_completion", 0.25)])
    sqlite_service.app.state.stack.slow_parts.patience_seconds = 0.0
    for path, words in (
        ("", ("task_completion", "started in 14 days", "Spend")),
        (f"/runs/{run_id}", ("No finding", "Because of task_completion", "blue")),
        ("/settings", ("Pairs judged", "Repairs (included)")),
        ("/runs/new?metric=task_completion", ("Pairs",)),
    ):
        page = (await sqlite_writer.get(path)).text
        assert '<noscript><meta http-equiv="refresh"' in page, path
        places = [piece.split('"')[0] for piece in page.split('data-fragment="')[1:]]
        assert places, path
        found = "".join(
            [(await sqlite_writer.get(place.replace("&amp;", "&"))).text for place in places]
        )
        joiner = "&" if "?" in path else "?"
        whole = (await sqlite_writer.get(f"{path}{joiner}whole=1")).text
        assert "data-fragment" not in whole, path
        for word in words:
            assert word in found, (path, word)
            assert word in whole, (path, word)
