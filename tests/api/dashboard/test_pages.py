"""The content of pages; text of traces never becomes markup."""

from uuid import uuid4

import pytest

from core.db.tables import metadata
from tests.api.conftest import Service
from tests.api.dashboard.conftest import Browser, NewScore, browser, put_metadata, store_run
from tests.factories import span_body

HOSTILE = "<script>alert(1)</script><svg onload=alert(1)>\"'&amp;"
HIDDEN = "abc\u202edef\x1b[31mred\u2066"


async def test_every_answer_carries_the_security_headers(service: Service, writer: Browser) -> None:
    for path in ("", "/runs", "/nothing/here", "/ui/static/none.css", "/ui/sign-in"):
        answer = await writer.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_pages_hold_no_inline_script_or_style(service: Service, writer: Browser) -> None:
    trace_id = await service.post_trace()
    run_id = await store_run(service, [(trace_id, "task_completion", 0.25)])
    for path in ("", "/runs", f"/runs/{run_id}", "/scores", "/traces", f"/traces/{trace_id}"):
        text = (await writer.get(path)).text
        assert " style=" not in text, path
        assert "<style" not in text, path
        assert "onclick" not in text, path
        assert "<script>" not in text, path


async def test_what_is_not_there_is_a_page_of_our_own(writer: Browser) -> None:
    for path in (f"/runs/{uuid4()}", "/runs/not-an-id", f"/traces/{uuid4()}", "/no/such/page"):
        answer = await writer.get(path)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"].startswith("text/html")
        assert "To the overview" in answer.text


async def test_a_project_without_traces_says_how_to_send_one(writer: Browser) -> None:
    text = (await writer.get("")).text
    assert "No traces yet" in text
    assert "http://assay/traces" in text


async def test_contents_of_traces_are_text(service: Service, writer: Browser) -> None:
    trace_id = await service.post_trace(
        name=HOSTILE,
        input=HOSTILE,
        output=HIDDEN,
        session_id=HOSTILE,
        user_id=HOSTILE,
        tags=[HOSTILE],
        metadata={HOSTILE: HOSTILE},
        environment=HOSTILE,
        release=HOSTILE,
        spans=[span_body(name=HOSTILE, input=HOSTILE, output=HOSTILE, error=HOSTILE)],
    )
    run_id = await store_run(service, [(trace_id, "task_completion", 0.25)], name=HOSTILE)
    finding = {"kind": HOSTILE, "text": HOSTILE, "verdict": HOSTILE, "steps": [1, "x"]}
    score_id = await put_metadata(service, run_id, {"findings": [finding], "formula": HOSTILE})
    pages = [
        *("", "/runs", f"/runs/{run_id}", "/scores", f"/scores/{score_id}", "/traces"),
        *(f"/traces/{trace_id}", f"/traces/{trace_id}?view=spans"),
        *(f"/traces/{trace_id}?view=judge", f"/scores/{score_id}?view=judge"),
    ]
    for path in pages:
        answer = await writer.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path
        assert "<svg onload" not in answer.text, path
        assert "\u202e" not in answer.text, path
        assert "\x1b" not in answer.text, path


async def test_a_finding_is_a_mark_at_its_steps(service: Service, writer: Browser) -> None:
    trace_id = await service.post_trace(
        spans=[span_body(name="find_order", kind="TOOL"), span_body(name="refund", kind="TOOL")]
    )
    run_id = await store_run(service, [(trace_id, "task_completion", 0.25)])
    trace = (await service.client.get(f"/traces/{trace_id}")).json()
    second = trace["spans"][1]
    findings = [
        {"kind": "wish", "text": "refund to card", "verdict": "missed", "steps": [2],
         "span_ids": [second["span_id"]], "points": 0.0},
        {"kind": "wish", "text": "say so", "verdict": "met", "steps": [1], "points": 0.5},
    ]  # fmt: skip
    score_id = await put_metadata(service, run_id, {"findings": findings})
    text = (await writer.get(f"/scores/{score_id}?finding=W1")).text
    assert 'class="fm miss"' in text
    assert 'aria-keyshortcuts="2"' in text
    assert "2, of them 1 against the agent" in text
    blamed = (await writer.get(f"/runs/{run_id}")).text
    assert second["name"] in blamed
    listed = (await writer.get(f"/scores?run={run_id}&blame={second['name']}")).text
    assert "1 score" in listed


@pytest.mark.parametrize("state", ["scored", "passed", "below", "not-applicable", "failed"])
async def test_the_list_behind_a_number_has_as_many_scores(
    service: Service, writer: Browser, state: str
) -> None:
    traces = [await service.post_trace() for _ in range(4)]
    numbers = [0.2, 0.5, 0.9, None]
    run_id = await store_run(
        service,
        [(trace, "task_completion", number) for trace, number in zip(traces, numbers, strict=True)],
    )
    counts = {"scored": 3, "passed": 2, "below": 1, "not-applicable": 1, "failed": 0}
    text = (await writer.get(f"/scores?run={run_id}&state={state}")).text
    noun = "score" if counts[state] == 1 else "scores"
    assert f"<h1>{counts[state]} {noun}</h1>" in text


@pytest.mark.parametrize("by", ["tag", "environment", "release", "user", "steps"])
async def test_a_run_is_divided_by_what_its_traces_share(
    service: Service, writer: Browser, by: str
) -> None:
    trace_id = await service.post_trace(
        tags=["blue"], environment="blue", release="blue", user_id="blue"
    )
    other = await service.post_trace(tags=[], environment=None, release=None, user_id=None)
    run_id = await store_run(
        service,
        [(trace_id, "task_completion", 0.25), (other, "task_completion", 0.75)],
        environments={trace_id: "blue"},
    )
    text = (await writer.get(f"/runs/{run_id}?by={by}")).text
    assert ("blue" if by != "steps" else "0 to 5") in text
    group = f"&{by}=blue" if by != "steps" else "&steps=0-6"
    found = (await writer.get(f"/scores?run={run_id}{group}")).text
    assert f"<h1>{'2 scores' if by == 'steps' else '1 score'}</h1>" in found
    if by != "steps":
        rest = (await writer.get(f"/scores?run={run_id}&without={by}")).text
        assert "<h1>1 score</h1>" in rest


async def test_a_persons_verdict_becomes_an_annotation(service: Service, writer: Browser) -> None:
    trace_id = await service.post_trace()
    run_id = await store_run(service, [(trace_id, "task_completion", 0.25)])
    score_id = await put_metadata(service, run_id, {})
    page = f"/scores/{score_id}"
    for fields, value in (
        ({"verdict": "agree"}, "0.25"),
        ({"verdict": "disagree", "note": "it did"}, "1"),
        ({"value": "0,6"}, "0.6"),
    ):
        answer = await writer.post(f"{page}/verdict", from_page=page, **fields)
        assert answer.status_code == 303
        latest = (await service.client.get(f"/evaluations/trace-scores/{trace_id}")).json()
        assert [(one["value"], one["source"]) for one in latest] == [(value, "ANNOTATION")]
    assert "A person gave" in (await writer.get(page)).text
    refused = await writer.post(f"{page}/verdict", from_page=page, value="7")
    assert refused.status_code == 422


async def test_a_reader_cannot_post_a_verdict(service: Service, reader: Browser) -> None:
    trace_id = await service.post_trace()
    run_id = await store_run(service, [(trace_id, "task_completion", 0.25)])
    score_id = await put_metadata(service, run_id, {})
    answer = await reader.post(
        f"/scores/{score_id}/verdict", from_page=f"/scores/{score_id}", verdict="agree"
    )
    assert answer.status_code == 403
    assert "Is the judge right?" not in (await reader.get(f"/scores/{score_id}")).text


async def test_static_files_carry_their_hash_and_are_kept(writer: Browser) -> None:
    page = (await writer.get("")).text
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]
    answer = await writer.get(address)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")


async def test_the_api_keeps_answering_in_json(service: Service) -> None:
    async with browser(service) as one:
        answer = await one.client.get("/traces/not-an-id")
    assert answer.headers["content-type"] == "application/json"


async def test_the_page_of_a_run_shows_what_repairs_cost(
    sqlite_service: Service, sqlite_writer: Browser
) -> None:
    trace_id = await sqlite_service.post_trace()
    used = {
        "judge_calls": 5,
        "cached_calls": 0,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cost_usd": 0.5,
        "repair_calls": 2,
        "repair_cost_usd": 0.2,
    }
    scores: list[NewScore] = [(trace_id, "task_completion", 0.25)]
    run_id = await store_run(sqlite_service, scores, usage=used)
    assert "of the cost for 2 repairs" in (await sqlite_writer.get(f"/runs/{run_id}")).text
    before = {name: used[name] for name in used if not name.startswith("repair")}
    run_id = await store_run(sqlite_service, scores, usage=before)
    assert "repair" not in (await sqlite_writer.get(f"/runs/{run_id}")).text


async def test_a_score_says_what_its_repairs_cost(
    sqlite_service: Service, sqlite_writer: Browser
) -> None:
    trace_id = await sqlite_service.post_trace()
    run_id = await store_run(sqlite_service, [(trace_id, "task_completion", 0.25)])
    score_id = await put_metadata(sqlite_service, run_id, {})
    assert "repair" not in (await sqlite_writer.get(f"/scores/{score_id}")).text
    table = metadata.tables["score"]
    async with sqlite_service.database.write() as db:
        paid = {"cost_usd": 0.5, "repair_calls": 2, "repair_cost_usd": 0.2}
        await db.execute(table.update().where(table.c.id == score_id).values(paid))
    told = (await sqlite_writer.get(f"/scores/{score_id}")).text
    assert "$0.50, of it $0.20 for 2 repair calls" in told
