"""Cases of opening a run that a test cannot create over HTTP."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from api.runs import progress
from api.runs.run_creation import MAX_STARTING, RunCreation
from core.db.tables import AuditEntry, EvalRun
from core.ids import ProjectId, RunStatus
from core.queries import chosen_pairs, run_admission, run_idempotency, run_names, run_rows
from core.queries.run_idempotency import IdempotentRequest
from evals import catalog
from evals.metric import JudgedMetric, TraceMetric
from tests.api.conftest import Service, provider, running

RUNS = "/evaluations/trace-runs"
BODY = {"metrics": ["task_completion"]}


async def test_a_judge_without_rules_for_a_metric_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.publish(provider("offline"), default_model="offline/rules")
    await service.post_trace()
    metric = catalog.trace_metric("task_completion")
    assert isinstance(metric, JudgedMetric)
    unruled = replace(metric, rule=None)

    def unruled_metric(_name: str) -> TraceMetric:
        return unruled

    monkeypatch.setattr(catalog, "trace_metric", unruled_metric)
    answer = await service.client.post(RUNS, json=BODY)
    assert answer.status_code == 422
    assert "offline/rules has no rules for task_completion" in answer.json()["detail"]
    answer = await service.client.post(RUNS, json=BODY | {"model": "openai/gpt"})
    assert "openai" in answer.json()["detail"], "refused for another reason"


async def test_a_rival_that_came_to_nothing_is_reported(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def taken(*_: object) -> bool:
        return False

    await service.post_trace()
    monkeypatch.setattr(run_idempotency, "claim", taken)
    answer = await service.client.post(RUNS, json=BODY, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 503
    assert (await service.client.get(RUNS)).json()["total"] == 0


async def test_batches_and_retries_are_idempotent_too(service: Service) -> None:
    trace_id = await service.post_trace()
    key = {"Idempotency-Key": "k"}
    sent = BODY | {"trace_ids": [trace_id]}
    first = await service.client.post(f"{RUNS}/batch", json=sent, headers=key)
    again = await service.client.post(f"{RUNS}/batch", json=sent, headers=key)
    assert first.status_code == 202
    assert again.json() == first.json()

    run_id = UUID(first.json()["id"])
    async with service.database.write() as db:
        await run_rows.finish(
            db, service.project_id, run_id, status=RunStatus.FAILED, error_message="x"
        )
    retry = f"{RUNS}/{run_id}/retry"
    key = {"Idempotency-Key": "another"}
    first = await service.client.post(retry, headers=key)
    again = await service.client.post(retry, headers=key)
    assert first.status_code == 202
    assert again.json() == first.json()
    assert first.json()["filters"] == {"retry_of": str(run_id), "trace_ids": [trace_id]}
    assert first.json()["name"] == f"Retry: {run_id}"
    assert (await service.client.get(RUNS)).json()["total"] == 2


async def test_a_run_that_has_to_wait_leaves_its_entry_in_the_audit_log_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_room(*_: object, **__: object) -> bool:
        return False

    monkeypatch.setattr(run_admission, "admit_at_once", no_room)
    trace_id = await service.post_trace()
    body = BODY | {"trace_ids": [trace_id]}
    headers = {"X-Request-ID": "mine"}
    made = [
        (await service.client.post(f"{RUNS}/batch", json=body, headers=headers)).json()["id"]
        for _ in range(2)
    ]
    async with service.database.read() as db:
        entries = (await db.scalars(select(AuditEntry))).all()
    assert sorted((entry.action, entry.target) for entry in entries) == sorted(
        ("create_trace_batch", run_id) for run_id in made
    )
    assert {entry.request_id for entry in entries} == {"mine"}
    assert {entry.project_id for entry in entries} == {service.project_id}


async def test_a_workflow_that_does_not_answer_is_not_waited_for(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    await service.publish(provider())
    await service.post_trace()
    service.runs.answers = running(total=1)
    run = (await service.client.post(RUNS, json=BODY)).json()
    async with service.database.write() as db:
        await run_rows.begin(db, service.project_id, UUID(run["id"]))
    monkeypatch.setattr(progress, "_ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(service.runs, "progress", hang)
    held = (await service.client.get(f"{RUNS}/{run['id']}")).json()
    assert held["status"] == "RUNNING"
    assert held["activity"] == "waiting for a worker to answer"


def test_only_equal_requests_have_equal_hashes() -> None:
    def digest(path: str, body: Any) -> str:
        request = IdempotentRequest.of(ProjectId(UUID(int=1)), "k", path=path, body=body)
        return request.body_hash

    assert digest("/a", {"x": 1, "y": [2]}) == digest("/a", {"y": [2], "x": 1})
    different = [("/a", {"x": 1}), ("/a", {"x": 2}), ("/b", {"x": 1}), ("/a", None)]
    assert len({digest(path, body) for path, body in different}) == 4


async def test_a_run_over_named_traces_knows_its_pairs_before_a_worker_begins(
    service: Service,
) -> None:
    await service.publish(provider("openai"))
    traces = [str(await service.post_trace()) for _ in range(2)]
    body = BODY | {"trace_ids": traces}
    answer = (await service.client.post(f"{RUNS}/batch", json=body)).json()
    assert (answer["total_traces"], answer["status"]) == (2, "PENDING")
    [pairs] = service.runs.open_pairs
    assert pairs is not None
    assert [target.target_id for target in pairs.targets] == traces
    assert pairs.route.task_queue.endswith("-judge-openai")


async def test_a_worker_finds_the_pairs_of_a_run_that_nobody_could_judge_yet(
    service: Service,
) -> None:
    body = BODY | {"trace_ids": [str(await service.post_trace())], "model": "openai/gpt"}
    assert (await service.client.post(f"{RUNS}/batch", json=body)).status_code == 202
    assert service.runs.open_pairs == [None]


async def test_runs_posted_at_once_are_written_together_and_in_order(service: Service) -> None:
    sent = BODY | {"trace_ids": [str(await service.post_trace())]}
    answers = await asyncio.gather(
        *(service.client.post(f"{RUNS}/batch", json=sent | {"name": str(n)}) for n in range(12))
    )
    assert {answer.status_code for answer in answers} == {202}
    listed = (await service.client.get(RUNS, params={"limit": 50})).json()["items"]
    assert sorted(run["name"] for run in listed) == sorted(str(n) for n in range(12))
    created = {run["created_at"] for run in listed}
    assert len(created) == 12, "each has a moment of its own"


async def test_many_named_traces_are_in_the_answer_of_their_run_and_in_no_list(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_names, "MAX_LISTED_IDS", 2)
    monkeypatch.setattr(chosen_pairs, "MAX_LISTED_IDS", 2)
    named = {"trace_ids": [await service.post_trace() for _ in range(3)]}
    sent, key = BODY | named, {"Idempotency-Key": "many"}
    posted = await service.client.post(f"{RUNS}/batch", json=sent, headers=key)
    assert posted.status_code == 202, posted.text
    run = posted.json()
    assert (run["filters"], run["total_traces"]) == (named, 3)
    again = await service.client.post(f"{RUNS}/batch", json=sent, headers=key)
    assert again.json() == run
    assert (await service.client.get(f"{RUNS}/{run['id']}")).json()["filters"] == named
    [listed] = (await service.client.get(RUNS)).json()["items"]
    assert listed["filters"] == {"trace_ids": named["trace_ids"][:2]}
    pending = (await service.client.get(f"{RUNS}/{run['id']}/scores")).json()
    assert [row["trace_id"] for row in pending] == named["trace_ids"]

    run_id = UUID(run["id"])
    async with service.database.write() as db:
        await run_rows.finish(
            db, service.project_id, run_id, status=RunStatus.FAILED, error_message="x"
        )
    retry = (await service.client.post(f"{RUNS}/{run_id}/retry")).json()
    assert (retry["filters"], retry["total_traces"]) == ({"retry_of": run["id"]}, 3)
    got = (await service.client.get(f"{RUNS}/{retry['id']}")).json()
    assert got["filters"] == {"retry_of": run["id"]}


async def test_a_burst_is_answered_although_few_of_its_runs_are_being_started(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, started, deferred = sqlite_service, asyncio.Event(), asyncio.Event()

    async def start(*_: object, **__: object) -> None:
        await started.wait()

    monkeypatch.setattr(service.runs, "start", start)
    creation = RunCreation(service.stack.writes, service.stack.settings.open_runs, deferred.set)
    service.app.state.stack = replace(service.stack, run_creation=creation)
    await service.publish(provider())
    body = BODY | {"trace_ids": [await service.post_trace()]}

    async def post() -> None:
        answer = await service.client.post(f"{RUNS}/batch", json=body)
        assert answer.status_code == 202

    posts = [asyncio.create_task(post()) for _ in range(MAX_STARTING + 2)]
    try:
        async with asyncio.timeout(20):
            await deferred.wait()
            while sum(one.done() for one in posts) < 2:
                await asyncio.sleep(0.01)
        assert sum(one.done() for one in posts) == 2
    finally:
        started.set()
        await asyncio.gather(*posts)
    async with service.database.read() as db:
        rows = (await db.scalars(select(EvalRun))).all()
    assert sum(row.admitted_at is not None for row in rows) == MAX_STARTING
    creating = creation.create(_raise, None, "default")
    with pytest.raises(ValueError, match="no row"):
        await creating.__aenter__()
    await service.client.post(f"{RUNS}/batch", json=body)
    assert creation._starting == 0


async def _raise(_db: object) -> EvalRun:
    raise ValueError("no row")


async def test_a_run_whose_workflow_was_ended_in_temporal_reads_failed_at_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.post_trace()
    run_id = (await service.client.post(RUNS, json=BODY)).json()["id"]
    monkeypatch.setattr(service.runs, "is_closed", lambda _run_id: True)
    run = (await service.client.get(f"{RUNS}/{run_id}")).json()
    assert run["status"] == "FAILED"
    assert "retry the run" in run["error_message"]
