"""The same request from several clients at the same moment."""

import asyncio

from tests.chaos import store
from tests.chaos.auditing import audit, audit_payments
from tests.chaos.stack import CALLS_PER_TRACE, METRICS, RUNS, Json, Stack, Targets

CLIENTS = 8


async def at_once(stack: Stack, path: str, body: Json | None, **headers: str) -> list[Json]:
    async def send() -> Json:
        answer = await stack.api.post(path, json=body, headers=headers)
        while answer.status_code == 503:  # A 503 promises that nothing was written.
            await asyncio.sleep(1)
            answer = await stack.api.post(path, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        run: Json = answer.json()
        return run

    async with asyncio.timeout(60):
        return await asyncio.gather(*(send() for _ in range(CLIENTS)))


async def test_one_idempotency_key_makes_one_run(stack: Stack) -> None:
    targets = await stack.store_traces(3)
    before = await store.run_ids(stack.database)
    answers = await at_once(stack, RUNS, targets.body, **{"Idempotency-Key": targets.tag})
    assert len({answer["id"] for answer in answers}) == 1
    assert len(await store.run_ids(stack.database) - before) == 1
    await audit(stack, answers[0], targets)


async def test_a_run_retried_many_times_at_once_pays_once(stack: Stack) -> None:
    """Each retry is a separate run and ends; the retries share their questions."""
    targets, run = await failed(stack)
    await stack.calm()
    retried = await at_once(stack, f"{RUNS}/{run['id']}/retry", None)
    assert len({answer["id"] for answer in retried}) == CLIENTS
    for answer in retried:
        await audit(stack, answer, targets)
    await audit_payments(stack, questions=CALLS_PER_TRACE * len(targets.ids))


async def test_a_run_retried_at_once_under_one_key_makes_one_run(stack: Stack) -> None:
    targets, run = await failed(stack)
    await stack.calm()
    headers = {"Idempotency-Key": targets.tag}
    retried = await at_once(stack, f"{RUNS}/{run['id']}/retry", None, **headers)
    assert len({answer["id"] for answer in retried}) == 1
    await audit(stack, retried[0], targets)


async def failed(stack: Stack) -> tuple[Targets, Json]:
    await stack.control(malformed=1, latency=0)
    targets = await stack.store_traces(2)
    ended = await stack.ended(await stack.post_run(targets))
    assert ended["failed_count"] == len(targets.ids) * len(METRICS)
    return targets, ended
