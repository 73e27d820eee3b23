"""How much a browser loads for a page."""

import gzip
from pathlib import Path
from typing import Final

import api.dashboard
from tests.api.conftest import Service
from tests.api.dashboard.conftest import Browser, NewScore, store_run
from tests.factories import span_body

_MAX_PAGE_BYTES: Final = 60_000
_MAX_SCRIPT_BYTES: Final = 40_000
_METRICS: Final = ("task_completion", "tool_correctness", "step_efficiency", "coherence")


def test_all_scripts_together_are_small() -> None:
    scripts = (Path(api.dashboard.__file__).parent / "static").glob("*.js")
    assert 0 < sum(path.stat().st_size for path in scripts) <= _MAX_SCRIPT_BYTES


async def test_full_pages_are_small(sqlite_service: Service, sqlite_writer: Browser) -> None:
    traces = [
        await sqlite_service.post_trace(
            name=f"support agent {n}",
            input=f"Where is order {n * 7919}, and when does it arrive at number {n * 104729}?",
            session_id=f"session-{n * 1299709}",
            user_id=f"user-{n * 15485863}",
            tags=[f"build-{n}", "blue"],
            spans=[span_body(name=f"tool {n} {step}", kind="TOOL") for step in range(20)],
        )
        for n in range(60)
    ]
    scores: list[NewScore] = [
        (trace, metric, (17 * n + place) % 100 / 100)
        for n, trace in enumerate(traces)
        for place, metric in enumerate(_METRICS)
    ]
    run_id = await store_run(sqlite_service, scores)
    for n in range(30):
        await store_run(sqlite_service, scores[4 * n : 4 * n + 8], name=f"release {n * 7919}")
    heavy: dict[str, int] = {}
    for path in (
        *("", "/runs", f"/runs/{run_id}", "/scores", f"/scores?run={run_id}", "/traces"),
        *(f"/traces/{traces[0]}", "/sessions", "/metrics", "/metrics/task_completion"),
        *("/runs/new", "/settings", "/monitors/new", "/search?q=support"),
    ):
        answer = await sqlite_writer.get(path)
        assert answer.status_code == 200, path
        size = len(gzip.compress(answer.content, compresslevel=5))
        if size > _MAX_PAGE_BYTES:
            heavy[path] = size
    assert not heavy
