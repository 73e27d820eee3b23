"""From POST to scores, over HTTP, with real processes."""

import signal
from collections import Counter

from tests.e2e.conftest import CALLS_PER_TRACE, METRICS, Assay
from tests.judge_server import Request, Sends, Step, fails, hangs, rate_limited, resets, says


async def test_a_posted_run_ends_with_one_score_a_pair(assay: Assay) -> None:
    await assay.start_worker()
    traces = await assay.store_traces(6)
    run = await assay.post_run(name="First")
    run = await assay.until(run, "COMPLETED", "FAILED")
    assert (run["status"], run["total_traces"], run["evaluated_count"], run["failed_count"]) == (
        "COMPLETED",
        6,
        6,
        0,
    ), assay.logs()
    scores = await assay.scores(run)
    assert Counter((s["trace_id"], s["name"]) for s in scores) == {
        (trace, metric): 1 for trace in traces for metric in METRICS
    }
    for score in scores:
        assert score["status"] == "SUCCESS"
        assert 0 <= float(score["value"]) <= 1
        assert score["reason"]
        assert score["metadata"]["judge"]["model"] == "openai/gpt-4o-mini"
    assert len(assay.judge.requests) == 6 * CALLS_PER_TRACE
    assert run["usage"]["judge_calls"] == 6 * CALLS_PER_TRACE
    assert assay.repeats() == 0


async def test_a_killed_worker_costs_neither_a_score_nor_a_second_payment(assay: Assay) -> None:
    worker = await assay.start_worker()
    await assay.store_traces(30)
    run = await assay.post_run()
    await assay.until_judged(15)
    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    asked_before = len(assay.judge.requests)
    halfway = await assay.get_run(run)
    assert halfway["status"] == "RUNNING"
    await assay.until_it_says(run, "no worker is running; the last was heard from at", seconds=10)
    await assay.start_worker()
    run = await assay.until(run, "COMPLETED", "FAILED")
    assert (run["status"], run["evaluated_count"], run["failed_count"]) == ("COMPLETED", 30, 0)
    pairs = Counter((s["trace_id"], s["name"]) for s in await assay.scores(run))
    assert len(pairs) == 30 * len(METRICS)
    assert set(pairs.values()) == {1}
    # Only questions that were open at the kill may be repeated, at most one per slot.
    assert assay.repeats() <= min(asked_before, 100)
    assert len(assay.judge.requests) - assay.repeats() == 30 * CALLS_PER_TRACE


async def test_a_worker_told_to_stop_finishes_what_it_has_begun(assay_on_sqlite: Assay) -> None:
    assay = assay_on_sqlite
    worker = await assay.start_worker()
    await assay.store_traces(30)
    run = await assay.post_run()
    await assay.until_judged(20)
    worker.send_signal(signal.SIGTERM)
    assert await worker.wait() == 0
    await assay.start_worker()
    run = await assay.until(run, "COMPLETED", "FAILED")
    assert (run["status"], run["failed_count"]) == ("COMPLETED", 0)
    assert assay.repeats() == 0


async def test_two_workers_share_a_run(assay_on_sqlite: Assay) -> None:
    assay = assay_on_sqlite
    await assay.start_worker()
    await assay.start_worker()
    await assay.store_traces(20)
    run = await assay.until(await assay.post_run(), "COMPLETED", "FAILED")
    assert (run["status"], run["evaluated_count"]) == ("COMPLETED", 20)
    assert len(await assay.scores(run)) == 60


async def test_a_difficult_judge_costs_no_pair(assay_on_sqlite: Assay) -> None:
    """Each question first meets a rate limit, an error, garbage, a score of 7 or silence, then a
    good answer.
    """
    assay = assay_on_sqlite
    troubles: list[Step] = [
        rate_limited(0.2),
        fails(500, "The server had an error"),
        fails(503, "Overloaded"),
        Sends(502, "<html><body>Bad gateway</body></html>"),
        says("This trace looks fine to me!"),
        says({"reasoning": "Splendid.", "score": 7, "reason": "Splendid."}),
        Sends(200, ""),
        resets(),
        hangs(),
    ]

    def troubled(request: Request) -> Step | None:
        return troubles.pop() if troubles else None

    assay.judge.script = troubled
    await assay.start_worker()
    await assay.store_traces(8)
    run = await assay.until(await assay.post_run(), "COMPLETED", "FAILED")
    assert (run["status"], run["evaluated_count"], run["failed_count"]) == ("COMPLETED", 8, 0)
    assert not troubles


def always_seven(request: Request) -> Step:
    return says(
        {"reasoning": "Splendid.", "score": 7, "reason": "Splendid.", "task": "Find the order."}
    )


async def test_an_answer_that_never_validates_fails_its_pairs_with_a_reason(
    assay_on_sqlite: Assay,
) -> None:
    assay = assay_on_sqlite
    assay.judge.script = always_seven
    await assay.start_worker()
    await assay.store_traces(1)
    run = await assay.post_run(metrics=["step_efficiency"])
    run = await assay.until(run, "COMPLETED", "FAILED")
    assert (run["status"], run["evaluated_count"], run["failed_count"]) == ("COMPLETED", 1, 1)
    [score] = await assay.scores(run)
    assert (score["status"], score["value"]) == ("FAILED", None)
    assert "`waste`: Field required" in score["reason"]


async def test_a_refused_key_stops_the_run_and_retry_completes_it(assay_on_sqlite: Assay) -> None:
    assay = assay_on_sqlite
    answered: list[str] = []

    def refused_after_a_while(request: Request) -> Step | None:
        answered.append(request.path)
        if len(answered) > 8:
            return fails(401, "Incorrect API key provided: sk-of-t***", "invalid_api_key")
        return None

    assay.judge.script = refused_after_a_while
    await assay.start_worker()
    await assay.store_traces(10)
    run = await assay.until(await assay.post_run(), "COMPLETED", "FAILED", seconds=30)
    assert run["status"] == "FAILED"
    assert "Incorrect API key" in run["error_message"]
    assert "sk-of-the-scripted-judge" not in run["error_message"]
    kept = await assay.scores(run)
    assay.judge.script = ()
    answer = await assay.api.post(f"/evaluations/trace-runs/{run['id']}/retry")
    assert answer.status_code == 202, answer.text
    retried = await assay.until(answer.json(), "COMPLETED", "FAILED")
    assert retried["status"] == "COMPLETED"
    assert len(kept) + len(await assay.scores(retried)) == 30


async def test_a_cancelled_run_asks_nothing_more(assay_on_sqlite: Assay) -> None:
    assay = assay_on_sqlite
    assay.judge.delay = 0.5
    await assay.start_worker()
    await assay.store_traces(40)
    run = await assay.post_run()
    await assay.until_judged(10)
    answer = await assay.api.post(f"/evaluations/trace-runs/{run['id']}/cancel")
    assert answer.status_code == 202, answer.text
    run = await assay.until(run, "FAILED", seconds=10)
    assert "ancelled" in run["error_message"]
    assert run["activity"] is None
    asked = len(assay.judge.requests)
    again = await assay.api.post(f"/evaluations/trace-runs/{run['id']}/cancel")
    assert again.status_code == 409
    assert len(assay.judge.requests) == asked
    assert run["evaluated_count"] < 40


async def test_no_secret_and_no_trace_reaches_the_logs(assay_on_sqlite: Assay) -> None:
    assay = assay_on_sqlite
    assay.judge.script = [fails(500, "boom"), rate_limited(0.1), says("garbage")]
    await assay.start_worker()
    await assay.store_traces(2, output="The secret word is swordfish.")
    await assay.until(await assay.post_run(), "COMPLETED")
    logs = assay.logs()
    assert "Serving task queue" in logs
    for secret in ("swordfish", "sk-of-the-scripted-judge", "end-to-end-key-for-tests"):
        assert secret not in logs
