"""Actions on pages: start, cancel, retry, delete, pause, create keys."""

import re
from uuid import UUID

from core import clock
from core.db.tables import metadata
from core.ids import Scope, ScoreStatus
from core.money import units
from core.provider_status import ThrottleState, ThrottleStatus
from core.queries import budgets, run_rows, workers
from core.queries.budgets import Amount, Reservation
from core.temporal.pending import PendingActivity
from tests.api.conftest import Service, running
from tests.api.dashboard.conftest import Browser, browser, sign_in, store_run

_RUN = re.compile(r"/runs/([0-9a-f-]{36})$")


async def test_a_run_is_started_from_the_form(service: Service, writer: Browser) -> None:
    await service.post_trace(tags=["blue"])
    await service.post_trace(tags=["red"])
    form = "/runs/new?metric=task_completion&tag=blue"
    assert '<div class="big" aria-live="polite">1 ' in (await writer.get(form)).text
    answer = await writer.post(
        "/runs/new", from_page=form, metric="task_completion", tag="blue", share="100", name="mine"
    )
    assert answer.status_code == 303, answer.text
    found = _RUN.search(answer.headers["location"])
    assert found
    async with service.database.read() as db:
        row = await run_rows.get(db, service.project_id, UUID(found[1]))
    assert (row.name, row.filters, row.metric_names) == (
        "mine",
        {"tags": ["blue"]},
        ["task_completion"],
    )
    assert [run.run_id for run in service.runs.started] == [row.id]


async def test_a_form_sent_twice_starts_one_run(sqlite_service: Service) -> None:
    await sqlite_service.post_trace()
    key = await sqlite_service.key(scope=Scope.WRITE, project_id=sqlite_service.project_id)
    async with browser(sqlite_service) as one:
        await sign_in(one, key)
        fields = {"metric": "task_completion", "once": "the same"}
        first = await one.post("/runs/new", from_page="/runs/new", **fields)
        second = await one.post("/runs/new", from_page="/runs/new", **fields)
    assert first.headers["location"] == second.headers["location"]
    assert len(sqlite_service.runs.started) == 1


async def test_a_form_that_is_wrong_comes_back_with_what_is_wrong(
    service: Service, writer: Browser
) -> None:
    await service.post_trace()
    for fields, words in (
        ({"metric": "no_such_metric"}, "no_such_metric"),
        ({"metric": "task_completion", "share": "400"}, "Share"),
        ({"metric": "task_completion", "started_from": "yesterday"}, "ISO 8601"),
        ({"metric": "task_completion", "tag": "nobody-has-it"}, "No trace matches"),
        ({}, "Metrics"),
    ):
        answer = await writer.post("/runs/new", from_page="/runs/new", **fields)
        assert answer.status_code == 422, fields
        assert words in answer.text, fields
    assert service.runs.started == []


async def test_a_reader_starts_nothing(service: Service, reader: Browser) -> None:
    await service.post_trace()
    answer = await reader.post("/runs/new", from_page="/runs/new", metric="task_completion")
    assert answer.status_code == 403
    assert service.runs.started == []


async def test_cancelling_asks_first(service: Service, writer: Browser) -> None:
    trace_id = await service.post_trace()
    run_id = await store_run(
        service, [(trace_id, "task_completion", 0.25)], status="RUNNING", completed_at=None
    )
    service.runs.answers = running(total=1, activity="40 pairs wait for openai until 12:00:05")
    page = (await writer.get(f"/runs/{run_id}")).text
    assert "40 pairs wait for openai until 12:00:05" in page
    asks = await writer.get(f"/runs/{run_id}/cancel")
    assert "Keep judging" in asks.text
    assert service.runs.cancelled == []
    answer = await writer.post(f"/runs/{run_id}/cancel", from_page=f"/runs/{run_id}/cancel")
    assert answer.status_code == 303
    assert service.runs.cancelled == [run_id]


async def test_a_live_run_says_what_its_pairs_wait_for(service: Service, writer: Browser) -> None:
    trace_id = await service.post_trace()
    run_id = await store_run(
        service, [(trace_id, "task_completion", 0.25)], status="RUNNING", completed_at=None
    )
    service.runs.answers = running(total=1, activity="2 pairs wait for openai")
    service.runs.pending = [
        PendingActivity(
            activity="judge_pair",
            started=False,
            since=clock.now(),
            failure="JudgeBusy",
            message="openai answered 429",
            provider="openai",
        )
    ] * 2
    page = (await writer.get(f"/runs/{run_id}")).text
    assert "Last words" in page
    assert "openai answered 429" in page


async def test_pages_say_how_workers_ask_and_which_pairs_wait(
    sqlite_service: Service, sqlite_writer: Browser
) -> None:
    trace_id = await sqlite_service.post_trace()
    run_id = await store_run(
        sqlite_service, [(trace_id, "task_completion", 0.25)], status="RUNNING", completed_at=None
    )
    sqlite_service.runs.answers = running(total=1, activity="1 pair waits for openai")
    sqlite_service.runs.pending = [
        PendingActivity(
            activity="judge_pair",
            started=False,
            since=clock.now(),
            failure="JudgeRateLimited",
            message="openai answered 429",
            provider="openai",
            pair=f"task_completion of {trace_id}",
            attempt=7,
        )
    ]
    await sqlite_service.publish()
    limited = ThrottleStatus(
        provider="openai",
        model="gpt-test",
        state=ThrottleState.RATE_LIMITED,
        open_calls=3,
        waiting=41,
        per_second=2.5,
        until=clock.now(),
    )
    async with sqlite_service.database.write() as db:
        await workers.beat(db, "w", [limited])
    for path in (f"/runs/{run_id}", "/judges"):
        page = (await sqlite_writer.get(path)).text
        for word in ("gpt-test", "rate limiting", ">41<", ">2.5<"):
            assert word in page, (path, word)
    page = (await sqlite_writer.get(f"/runs/{run_id}")).text
    assert f"/traces/{trace_id}" in page
    assert '<td class="num">7</td>' in page


async def test_failed_pairs_are_retried(service: Service, writer: Browser) -> None:
    trace_id = await service.post_trace()
    run_id = await store_run(
        service,
        [(trace_id, "task_completion", None)],
        status="FAILED",
        error_message="openai says the key's quota is used up",
    )
    async with service.database.write() as db:
        await db.execute(metadata.tables["score"].update().values(status=ScoreStatus.FAILED))
    page = (await writer.get(f"/runs/{run_id}")).text
    assert "openai says the key&#39;s quota is used up" in page
    assert "Retry 1" in page
    answer = await writer.post(f"/runs/{run_id}/retry", from_page=f"/runs/{run_id}")
    assert answer.status_code == 303
    assert len(service.runs.started) == 1


async def test_a_run_is_deleted_with_or_without_its_scores(
    service: Service, writer: Browser
) -> None:
    trace_id = await service.post_trace()
    for fields, left in (({}, 1), ({"delete_scores": "1"}, 0)):
        run_id = await store_run(service, [(trace_id, f"metric_{left}", 0.5)])
        page = f"/runs/{run_id}/delete"
        answer = await writer.post(page, from_page=page, **fields)
        assert answer.status_code == 303
        found = (await writer.get(f"/scores?metric=metric_{left}")).text
        assert f"<h1>{left} score{'' if left == 1 else 's'}</h1>" in found


async def test_a_monitor_is_made_paused_resumed_changed_and_deleted(
    service: Service, writer: Browser
) -> None:
    made = await writer.post(
        "/monitors/new",
        from_page="/monitors/new",
        name="nightly",
        metric="task_completion",
        cadence="daily",
        only_if_changed="1",
    )
    assert made.status_code == 303, made.text
    page = made.headers["location"]
    assert "Active" in (await writer.get(page)).text
    await writer.post(f"{page}/pause", from_page=page)
    assert "runs that come due meanwhile are skipped" in (await writer.get(page)).text
    await writer.post(f"{page}/resume", from_page=page)
    service.schedules.skipped_by_outage = 2
    text = (await writer.get(page)).text
    assert "Active" in text
    assert "2 due times while Temporal was unavailable" in text
    changed = await writer.post(
        f"{page}/edit",
        from_page=f"{page}/edit",
        name="weekly",
        metric="coherence",
        cadence="cron:0 4 * * 1",
    )
    assert changed.status_code == 303, changed.text
    assert "cron:0 4 * * 1" in (await writer.get(page)).text
    wrong = await writer.post(
        f"{page}/edit", from_page=f"{page}/edit", name="x", metric="coherence", cadence="often"
    )
    assert wrong.status_code == 422
    assert "adence" in wrong.text
    await service.post_trace()
    started = await writer.post(f"{page}/trigger", from_page=page)
    assert _RUN.search(started.headers["location"])
    await writer.post(f"{page}/delete", from_page=page)
    assert (await writer.get(page)).status_code == 404


async def test_a_session_shows_what_was_said_and_can_be_deleted(
    service: Service, writer: Browser
) -> None:
    for text in ("Where is my order?", "Thanks a lot"):
        await service.post_trace(session_id="s/1 é", input=text, output="It is on its way.")
    listed = (await writer.get("/sessions")).text
    assert "s/1" in listed
    page = "/sessions/s/1%20%C3%A9"
    text = (await writer.get(page)).text
    assert "Where is my order?" in text
    answer = await writer.post("/delete-session", from_page=page, session="s/1 é")
    assert answer.status_code == 303
    assert (await writer.get(page)).status_code == 404


async def test_things_are_found_by_id_and_name(service: Service, writer: Browser) -> None:
    trace_id = await service.post_trace(name="refund agent", session_id="s-77")
    run_id = await store_run(service, [(trace_id, "task_completion", 0.5)], name="Release 48")
    for text, kind in ((trace_id, "traces"), (str(run_id), "runs"), ("s-77", "sessions")):
        answer = await writer.get(f"/search?q={text}")
        assert answer.status_code == 303, text
        assert f"/{kind}/" in answer.headers["location"]
    for text, name in ((trace_id[:8], "refund agent"), ("elease 4", "Release 48"), ("s-7", "s-77")):
        assert name in (await writer.get(f"/search?q={text}")).text
    assert "Nothing was found" in (await writer.get("/search?q=zzzz-nothing")).text


async def test_metrics_and_judges_say_what_they_are(service: Service, writer: Browser) -> None:
    text = (await writer.get("/metrics")).text
    assert "task_completion" in text
    assert "agent_reliability" in text
    assert "The prompt" in (await writer.get("/metrics/task_completion")).text
    assert (await writer.get("/metrics/no_such_metric")).status_code == 404
    assert "No worker is running" in (await writer.get("/judges")).text


async def test_a_paused_run_says_why_and_its_budget_is_raised_from_its_page(
    service: Service, writer: Browser
) -> None:
    await service.post_trace()
    answer = await writer.post(
        "/runs/new",
        from_page="/runs/new?metric=task_completion",
        metric="task_completion",
        model="openai/gpt-4o-mini",
        max_cost_usd="0.5",
    )
    found = _RUN.search(answer.headers["location"])
    assert found, answer.text
    run_id = UUID(found[1])
    async with service.database.write() as db:
        row = await run_rows.begin(db, service.project_id, run_id)
        asked = Reservation(row.project_id, run_id, Amount(units(0.6), 100), of_run=True)
        await budgets.reserve(db, "a worker", [asked])
    page = (await writer.get(f"/runs/{run_id}")).text
    assert "Paused" in page
    assert "at least 0.10 USD more needed" in page
    assert "st stop" in (await writer.get("/runs?status=paused")).text
    needs = (await writer.get("")).text
    assert "is paused at its budget of $0.50." in needs
    assert f'/runs/{run_id}#raise">Raise budget' in needs
    refused = await writer.post(
        f"/runs/{run_id}/resume", from_page=f"/runs/{run_id}", max_cost_usd="0.55"
    )
    assert "at least 0.60" in refused.text
    raised = await writer.post(
        f"/runs/{run_id}/resume", from_page=f"/runs/{run_id}", max_cost_usd="2"
    )
    assert raised.status_code == 303
    assert service.runs.resumed == [run_id]
    async with service.database.read() as db:
        row = await run_rows.get(db, service.project_id, run_id)
    assert (row.max_cost_usd, row.paused_at, row.resume_requested_at) == (2.0, None, None)
