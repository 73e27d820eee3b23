"""A judge that limits, fails, hangs, breaks off or gives invalid answers, and an unavailable
one.
"""

import asyncio

import pytest

from tests.chaos import store
from tests.chaos.auditing import audit, audit_payments, audit_stopped
from tests.chaos.stack import CALLS_PER_TRACE, RUNS, Json, Stack, until

pytestmark = pytest.mark.chaos

TROUBLES = {"rate_429": 0.3, "rate_500": 0.3, "rate_hang": 0.02, "rate_reset": 0.05}


async def test_no_pair_fails_for_what_another_attempt_mends(stack: Stack) -> None:
    await stack.control(**TROUBLES)
    targets = await stack.store_traces(100)
    run = await stack.post_run(targets)
    ended = await audit(stack, await stack.ended(run, seconds=900), targets)
    assert ended["failed_count"] == 0
    stats = await stack.stats()
    assert stats["statuses"]["429"] > 0
    assert stats["statuses"]["500"] > 0


async def test_only_pairs_whose_last_answer_was_bad_fail(stack: Stack) -> None:
    """Half of all answers are invalid, so one question in eight gets only invalid answers in three
    tries.
    """
    await stack.control(malformed=0.5, rate_429=0.1)
    targets = await stack.store_traces(60)
    run = await stack.post_run(targets)
    ended = await audit(stack, run, targets)
    assert 0 < ended["failed_count"] < 60 * 3
    for score in (await stack.api.get(f"{RUNS}/{run['id']}/scores")).json():
        if score["status"] == "FAILED":
            assert "gave no usable answer in 3 tries" in score["reason"]
    await stack.calm()
    retried = (await stack.api.post(f"{RUNS}/{run['id']}/retry")).json()
    ended_retry = await stack.ended(retried)
    assert (ended_retry["status"], ended_retry["failed_count"]) == ("COMPLETED", 0)
    kept = await store.scores(stack.database, retried["id"])
    assert kept.total() == ended["failed_count"]


async def test_five_in_a_hundred_bad_answers_are_mended(stack: Stack) -> None:
    await stack.control(malformed=0.05)
    targets = await stack.store_traces(60)
    ended = await audit(stack, await stack.post_run(targets), targets)
    assert ended["failed_count"] <= 2


async def test_an_outage_of_five_minutes_costs_no_pair(stack: Stack) -> None:
    targets = await stack.store_traces(100)
    run = await stack.post_run(targets)
    await stack.asked(100)
    await stack.control(outage=True)
    await asyncio.sleep(30)
    waiting = (await stack.get_run(run))["activity"]
    assert "wait" in waiting
    await asyncio.sleep(270)
    await stack.control(outage=False)
    ended = await audit(stack, run, targets)
    assert ended["failed_count"] == 0


REFUSALS = [
    ("key", "Incorrect API key provided"),
    ("quota", "You exceeded your current quota"),
    ("model", "does not exist"),
]


@pytest.mark.parametrize(("refusal", "words"), REFUSALS)
async def test_what_no_pair_survives_ends_the_run_and_retry_completes_it(
    stack: Stack, refusal: str, words: str
) -> None:
    await stack.control(latency=0.5)
    targets = await stack.store_traces(60)
    run = await stack.post_run(targets)
    await until(lambda: has_scores(stack, run))
    await stack.control(refusal=refusal)
    await stack.ended(run, seconds=15)
    stopped = await audit_stopped(stack, run, targets)
    assert words in stopped["error_message"]
    kept = await store.scores(stack.database, run["id"])
    assert 0 < kept.total() < 180
    assert {status for _, _, status in kept} == {"SUCCESS"}
    await stack.control(refusal="")
    retried = (await stack.api.post(f"{RUNS}/{run['id']}/retry")).json()
    assert (await stack.ended(retried))["status"] == "COMPLETED"
    rest = await store.scores(stack.database, retried["id"])
    assert set(kept).isdisjoint(rest)
    assert kept.total() + rest.total() == 180
    await audit_payments(stack, questions=CALLS_PER_TRACE * 60)


async def has_scores(stack: Stack, run: Json) -> bool:
    return (await store.scores(stack.database, run["id"])).total() > 0
