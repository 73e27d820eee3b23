"""Every number on a page that is a link leads to the counted items."""

import re
from html import unescape
from typing import Final

import httpx

from core.db.tables import metadata
from core.ids import ScoreStatus
from tests.api.conftest import Service
from tests.api.dashboard.conftest import Browser, score_row, store_run
from tests.factories import span_body

_LINK: Final = re.compile(r'<a class="n"[^>]* ?href="([^"]+)"[^>]*>([^<]*)</a>')
_COUNT: Final = re.compile(r"([\d,]+)(?: [a-z ]+)?")
_BAR: Final = re.compile(r'<a href="([^"]+)"><title>[^<:]+: ([\d,]+)</title>')
_TOTAL: Final = re.compile(r'data-total="(\d+)"')
_METRICS: Final = ("task_completion", "tool_correctness")


async def fill(service: Service) -> list[str]:
    """A small project in which no two counts are equal. Returns its pages."""
    traces = [
        await service.post_trace(
            session_id=f"s-{n % 2}",
            user_id=f"user-{n % 3}",
            tags=["blue"] if n % 2 else [],
            spans=[span_body(name="find_order", kind="TOOL")],
        )
        for n in range(7)
    ]
    scores = [
        (trace, metric, None if n == 6 else round(0.15 * n + 0.05 * place, 2))
        for n, trace in enumerate(traces)
        for place, metric in enumerate(_METRICS)
    ]
    run_id = await store_run(service, scores, metric_names=[*_METRICS, "coherence"])
    finding = {"kind": "wish", "text": "a refund", "verdict": "missed", "tool": "find_order"}
    failed = score_row(service, run_id, traces[0], "coherence", None) | {
        "status": ScoreStatus.FAILED,
        "reason": "No answer came.",
    }
    blamed = score_row(service, None, traces[1], "task_completion", 0.4) | {
        "metadata": {"findings": [finding]}
    }
    async with service.database.write() as db:
        await db.execute(metadata.tables["score"].insert(), [failed, blamed])
    small = await store_run(service, [(traces[0], "task_completion", 1.0)], name="small")
    other = await store_run(
        service,
        [(trace, "task_completion", round(0.9 - 0.1 * n, 2)) for n, trace in enumerate(traces)],
        name="other",
    )
    async with service.database.write() as db:
        row = score_row(service, other, traces[0], "tool_correctness", 0.5)
        found = [finding | {"verdict": "missed", "tool": "refund"}]
        await db.execute(
            metadata.tables["score"].insert(), [row | {"metadata": {"findings": found}}]
        )
    score_id = blamed["id"]
    both = f"a={run_id}&b={other}"
    return [
        *("", "?since=90d", "/runs", f"/runs/{run_id}", f"/runs/{small}", "/scores", "/traces"),
        *(f"/runs/{run_id}?by={by}" for by in ("environment", "user", "steps", "tag", "release")),
        *("/sessions", "/sessions/s-1", f"/traces/{traces[1]}", "/metrics", "/judges"),
        *("/monitors", "/settings", "/search?q=small", f"/scores?run={run_id}"),
        *(f"/compare?{both}", f"/compare?{both}&metric=tool_correctness&o=won"),
        *(f"/compare/items?{both}&o=lost", f"/compare?a={run_id}", "/metrics/task_completion"),
        *(f"/scores/{score_id}", "/settings?by=day", "/settings?by=run", "/settings?by=metric"),
        *("/runs/new", "/traces?tag=blue", f"/scores?run={run_id}&sort=cost", "/runs?name=small"),
    ]


def problem(number: str, address: str, answer: httpx.Response) -> str:
    """The reason why the page behind a number does not show the number; empty if it does."""
    if answer.status_code != 200:
        return f"status {answer.status_code}"
    if "#step-" in address:
        return "" if f'id="step-{number}"' in answer.text else "no such step"
    total = _TOTAL.search(answer.text)
    count = _COUNT.fullmatch(number)
    if count is not None and total is not None:
        return "" if int(total[1]) == int(count[1].replace(",", "")) else f"{total[1]} entries"
    if count is not None and "." not in number:
        return "no list"
    if total is None:
        # The page of a single score shows the same figure.
        return "" if number in answer.text else "another figure"
    # A mean, a share or a sum leads to its scores.
    return "" if int(total[1]) else "an empty list"


async def test_each_number_leads_to_what_it_counts(
    sqlite_service: Service, sqlite_writer: Browser
) -> None:
    followed: set[tuple[str, str]] = set()
    skipped: list[str] = []
    wrong: list[str] = []
    for path in await fill(sqlite_service):
        answer = await sqlite_writer.get(path)
        assert answer.status_code == 200, path
        if answer.text.count('class="n"') != len(_LINK.findall(answer.text)):
            skipped.append(path)
        for address, shown in {*_LINK.findall(answer.text), *_BAR.findall(answer.text)}:
            if (address, shown) in followed:
                continue
            followed.add((address, shown))
            plain = unescape(address)
            why = problem(unescape(shown).strip(), plain, await sqlite_writer.get(plain))
            if why:
                wrong.append(f"{path}: {shown} leads to {why} at {address}")
    assert not skipped
    assert not wrong, "\n".join(wrong)
    assert len(followed) > 150
