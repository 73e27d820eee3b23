"""Where opening a run meets what cannot be arranged over HTTP."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from api import opening, progress
from core.ids import ProjectId, RunStatus
from core.queries import idempotency, runs, targets
from evals import catalog
from evals.metric import TraceMetric
from tests.api.conftest import Service, provider, running

RUNS = "/evaluations/trace-runs"
BODY = {"metrics": ["task_completion"]}


async def test_a_judge_without_rules_for_a_metric_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.publish(provider("offline"), default_model="offline/rules")
    await service.post_trace()
    metric = catalog.trace_metric("task_completion")
    unruled = replace(metric, stages=tuple(replace(s, rule=None) for s in metric.stages))

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
    monkeypatch.setattr(idempotency, "claim", taken)
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
        await runs.finish(
            db, service.project_id, run_id, status=RunStatus.FAILED, error_message="x"
        )
    await _freeze(service, run_id, trace_id)
    retry = f"{RUNS}/{run_id}/retry"
    key = {"Idempotency-Key": "another"}
    first = await service.client.post(retry, headers=key)
    again = await service.client.post(retry, headers=key)
    assert first.status_code == 202
    assert again.json() == first.json()
    assert first.json()["filters"] == {"retry_of": str(run_id), "trace_ids": [trace_id]}
    assert first.json()["name"] == f"Retry: {run_id}"
    assert (await service.client.get(RUNS)).json()["total"] == 2


async def _freeze(service: Service, run_id: UUID, trace_id: str) -> None:
    async with service.database.write() as db:
        row = await runs.get(db, service.project_id, run_id)
        await targets.write(db, row, first=0, target_ids=[trace_id])


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
        await runs.begin(db, service.project_id, UUID(run["id"]))
    monkeypatch.setattr(progress, "_ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(service.runs, "progress", hang)
    held = (await service.client.get(f"{RUNS}/{run['id']}")).json()
    assert held["status"] == "RUNNING"
    assert held["activity"] == "waiting for a worker to answer"


def test_only_equal_requests_have_equal_hashes() -> None:
    def digest(path: str, body: Any) -> str:
        request = opening.request_of(ProjectId(UUID(int=1)), "k", path=path, body=body)
        assert request is not None
        return request.body_hash

    assert digest("/a", {"x": 1, "y": [2]}) == digest("/a", {"y": [2], "x": 1})
    different = [("/a", {"x": 1}), ("/a", {"x": 2}), ("/b", {"x": 1}), ("/a", None)]
    assert len({digest(path, body) for path, body in different}) == 4
    assert opening.request_of(ProjectId(UUID(int=1)), None, path="/a", body=None) is None
