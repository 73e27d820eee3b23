"""The page that compares two runs."""

import re
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest

from activities.comparing import partitions
from api.dashboard import compare, compare_list
from api.runs import comparing
from core.ids import TargetType
from core.queries import comparison_rows
from tests.api.conftest import Service
from tests.api.dashboard.conftest import Browser, store_run
from tests.api.dashboard.test_pages import HIDDEN, HOSTILE
from tests.factories import span_body


async def two_runs(
    service: Service, numbers: tuple[list[float | None], list[float | None]], **of_trace: Any
) -> tuple[UUID, UUID]:
    """Two runs over the same traces, with these scores of task_completion."""
    traces = [await service.post_trace(**of_trace) for _ in numbers[0]]
    runs = [
        await store_run(
            service,
            [
                (trace, "task_completion", number)
                for trace, number in zip(traces, side, strict=True)
            ],
            name=name,
        )
        for name, side in zip(("old prompt", "new prompt"), numbers, strict=True)
    ]
    return runs[0], runs[1]


WORSE: tuple[list[float | None], list[float | None]] = ([0.9] * 12, [0.9, *[0.2] * 11])


async def test_a_comparison_says_its_verdict_in_words(service: Service, reader: Browser) -> None:
    a, b = await two_runs(service, WORSE)
    text = (await reader.get(f"/compare?a={a}&b={b}")).text
    assert "<h1>Is new prompt better than old prompt?</h1>" in text
    assert "B is worse at task_completion (−0.642)." in text
    assert 'aria-label="0 wins, 1 ties, 11 losses"' in text
    assert f"?a={b}&amp;b={a}" in text, "swap"
    assert "side by side" in text
    assert f"/runs/{a}" in text
    swapped = (await reader.get(f"/compare?a={b}&b={a}")).text
    assert "B is better at task_completion (+0.642)." in swapped


async def test_reading_a_comparison_again_computes_nothing(
    service: Service, reader: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await two_runs(service, WORSE)
    first = await reader.get(f"/compare?a={a}&b={b}")
    monkeypatch.setattr(comparing, "compute", None)
    again = await reader.get(f"/compare?a={a}&b={b}&key=trace_id&margin=0.02&o=won")
    assert (first.status_code, again.status_code) == (200, 200)
    assert "No pair scored more in B than in A" in again.text
    listed = (await service.client.get("/evaluations/comparisons")).json()
    assert listed["total"] == 1


async def test_a_score_that_a_person_changes_makes_a_new_comparison(
    service: Service, reader: Browser
) -> None:
    a, b = await two_runs(service, ([0.9, 0.9], [0.9, 0.9]))
    assert "Equivalent at task_completion." in (await reader.get(f"/compare?a={a}&b={b}")).text
    scores = (await service.client.get(f"/evaluations/trace-runs/{b}/scores")).json()
    path = f"/evaluations/trace-scores/{scores[0]['id']}"
    assert (await service.client.patch(path, json={"value": "0.1"})).status_code == 200
    changed = (await reader.get(f"/compare?a={a}&b={b}")).text
    assert "For task_completion these pairs cannot tell." in changed


async def test_what_is_left_out_is_counted_and_listed(service: Service, reader: Browser) -> None:
    a, b = await two_runs(service, ([0.9, 0.9, None, 0.5], [0.9, None, None, 0.4]))
    text = (await reader.get(f"/compare?a={a}&b={b}")).text
    assert ">2 pairs</a> of 4 items" in text
    assert ">2 not applicable</a>" in text
    listed = (await reader.get(f"/compare/items?a={a}&b={b}&o=not_applicable")).text
    assert "<h1>2 items</h1>" in listed
    assert listed.count('class="mono s"><a class="q" href="/ui/default/scores?trace=') == 2


async def test_the_list_behind_a_number_has_all_its_pairs_in_order(
    sqlite_service: Service, sqlite_writer: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_list, "_A_PAGE", 4)
    monkeypatch.setattr(partitions, "SCORES_PER_PART", 5)
    numbers: list[float | None] = [round(0.85 - 0.05 * n, 2) for n in range(11)]
    a, b = await two_runs(sqlite_service, ([0.9] * 12, [0.9, *numbers]))
    counted = (await sqlite_writer.get(f"/compare?a={a}&b={b}")).text
    assert re.search(r'compare/items\?[^"]*o=lost[^"]*">11</a>', counted)
    assert re.search(r'compare/items\?[^"]*o=tied[^"]*">1</a>', counted)
    found: list[str] = []
    for offset in (0, 4, 8):
        page = await sqlite_writer.get(f"/compare/items?a={a}&b={b}&o=lost&offset={offset}")
        assert 'data-total="11"' in page.text
        found += re.findall(r"<b>−([\d.]+)</b>", page.text)
    # Pairs that fell below the threshold come first, then the pairs with the largest losses.
    assert found == [f"{0.05 * n:.2f}" for n in (11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)]


async def test_a_pair_of_a_list_is_shown_side_by_side(
    sqlite_service: Service, sqlite_writer: Browser
) -> None:
    a, b = await two_runs(sqlite_service, ([0.9, 0.9], [0.9, 0.1]))
    tied = (await sqlite_writer.get(f"/compare/items?a={a}&b={b}&o=tied")).text
    [address] = re.findall(r'<a class="q cut" href="([^"]+)"', tied)
    text = (await sqlite_writer.get(unescape(address))).text
    assert text.count('<div class="hd"><span class="tag">') == 2
    assert text[text.index('id="pair"') :].count(">0.90</a>") == 2


async def test_pairs_that_lost_their_pass_come_first(service: Service, reader: Browser) -> None:
    a, b = await two_runs(service, ([0.45, 0.6, 0.9], [0.0, 0.4, 0.6]))
    text = (await reader.get(f"/compare?a={a}&b={b}&o=lost")).text
    changed = text[
        text.index('id="changed"') : text.index("</section>", text.index('id="changed"'))
    ]
    places = [changed.index(difference) for difference in ("<b>−0.20", "<b>−0.45", "<b>−0.30")]
    assert places == sorted(places)
    crossed = (await reader.get(f"/compare?a={a}&b={b}&o=flip")).text
    assert "<b>−0.20" in crossed
    assert "<b>−0.45" not in crossed


async def test_the_steps_of_both_sides_stand_beside_each_other(
    service: Service, reader: Browser
) -> None:
    spans = [span_body(name="refund_order", kind="TOOL", input={"to": "card"}, output="409")]
    a, b = await two_runs(service, ([0.9], [0.1]), spans=spans)
    text = (await reader.get(f"/compare?a={a}&b={b}")).text
    assert text.count('title="refund_order">refund_order') == 2
    assert text.count("Because of task_completion.") >= 2


async def test_contents_of_compared_traces_are_text(service: Service, reader: Browser) -> None:
    spans = [span_body(name=HOSTILE, kind="TOOL", input=HOSTILE, output=HIDDEN)]
    traces = [
        await service.post_trace(
            name=HOSTILE, input=HOSTILE, metadata={"task": HOSTILE + HIDDEN}, spans=spans
        )
        for _ in range(2)
    ]
    runs = [
        await store_run(service, [(trace, "task_completion", number)], name=HOSTILE)
        for trace, number in zip(traces, (0.9, 0.1), strict=True)
    ]
    paths = [
        f"/compare?a={runs[0]}&b={runs[1]}&key=metadata.task",
        f"/compare?a={runs[0]}&b={runs[1]}&left=only_baseline",
        f"/compare?a={runs[0]}",
        f"/compare?a={runs[0]}&b={runs[1]}&key={HOSTILE}",
        "/compare",
    ]
    for path in paths:
        answer = await reader.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path
        assert "<svg onload" not in answer.text, path
        assert "\u202e" not in answer.text, path
        assert "\x1b" not in answer.text, path
        assert " style=" not in answer.text, path


async def test_two_runs_are_picked_one_after_the_other(service: Service, reader: Browser) -> None:
    a, b = await two_runs(service, WORSE)
    other = await store_run(service, [(str(uuid4()), "confidence", 0.5)], name="of another metric")
    text = (await reader.get("/compare")).text
    assert "Compare which runs?" in text
    assert f"/compare?a={a}" in text
    second = (await reader.get(f"/compare?a={a}")).text
    assert "Compare old prompt with which run?" in second
    assert f"a={a}&amp;b={b}" in second
    assert f"b={a}" not in second
    assert f"b={other}" not in second
    assert "no metric in common" in second


async def test_runs_ticked_in_the_list_are_compared(service: Service, reader: Browser) -> None:
    a, b = await two_runs(service, WORSE)
    listed = (await reader.get("/runs")).text
    assert f'name="run" value="{a}"' in listed
    for query, to in (
        (f"run={b}&run={a}", f"/ui/default/compare?a={a}&b={b}"),
        (f"run={a}", f"/ui/default/compare?a={a}"),
    ):
        answer = await reader.get(f"/compare?{query}")
        assert answer.status_code == 303
        assert answer.headers["location"] == to
    third = await store_run(service, [(str(uuid4()), "task_completion", 0.5)])
    many = await reader.get(f"/compare?run={a}&run={b}&run={third}")
    assert many.status_code == 422
    assert "Select two runs" in many.text


async def test_runs_that_cannot_be_compared_say_why(service: Service, reader: Browser) -> None:
    a, _ = await two_runs(service, WORSE)
    other = await store_run(service, [(str(uuid4()), "confidence", 0.5)])
    sessions = await store_run(
        service, [("s-1", "agent_reliability", 0.5)], target_type=TargetType.SESSION
    )
    for b, key, says in (
        (other, "", "no metric in common"),
        (sessions, "", "runs of one kind"),
        (a, "color", "pair_by must be"),
    ):
        text = (await reader.get(f"/compare?a={a}&b={b}&key={key}")).text
        assert "These runs cannot be compared." in text
        assert says in text
    assert (await reader.get(f"/compare?a={a}&b={uuid4()}")).status_code == 404


async def test_too_many_pairs_for_a_page_are_started_by_a_button(
    service: Service, writer: Browser, reader: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await two_runs(service, WORSE)
    monkeypatch.setattr(compare, "MAX_AT_ONCE", 5)
    path = f"/compare?a={a}&b={b}"
    assert "Compare 12 pairs" in (await writer.get(path)).text
    assert "A key of scope write" in (await reader.get(path)).text
    assert service.comparisons.started == []
    assert (await writer.post(path, from_page=path)).status_code == 303
    assert len(service.comparisons.started) == 1
    assert "A worker compares 12 pairs" in (await reader.get(path)).text
    assert (await writer.post(path, from_page="/runs/new")).status_code == 303
    assert len(service.comparisons.started) == 1


async def test_a_comparison_that_failed_says_why_and_can_be_started_again(
    service: Service, writer: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await two_runs(service, WORSE)
    monkeypatch.setattr(compare, "MAX_AT_ONCE", 5)
    path = f"/compare?a={a}&b={b}"
    await writer.post(path, from_page=path)
    [started] = service.comparisons.started
    async with service.database.write() as db:
        await comparison_rows.end(
            db, service.project_id, started, error_message="The disk is full."
        )
    page = (await writer.get(path)).text
    assert "The last comparison failed." in page
    assert "The disk is full." in page
    assert (await writer.post(path, from_page=path)).status_code == 303
    assert len(service.comparisons.started) == 2


async def test_a_comparison_is_taken_along_as_a_file(service: Service, reader: Browser) -> None:
    a, b = await two_runs(service, WORSE)
    markdown = await reader.get(f"/compare?a={a}&b={b}&format=md")
    assert markdown.headers["content-type"].startswith("text/markdown")
    assert "| `task_completion` | ▼ worse | 12 |" in markdown.text
    assert "attachment" in markdown.headers["content-disposition"]
    found = (await reader.get(f"/compare?a={a}&b={b}&format=json")).json()
    assert found["metrics"][0]["verdict"] == "worse"


async def test_an_ended_run_offers_a_comparison(service: Service, reader: Browser) -> None:
    a, _ = await two_runs(service, WORSE)
    text = (await reader.get(f"/runs/{a}")).text
    assert f'/compare?a={a}" aria-keyshortcuts="c"' in text
