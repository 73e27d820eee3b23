"""Endpoints that open, read and end runs."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from api.runs import budget_view, progress
from api.schemas.pages import PageOf
from api.schemas.runs import EvalRunBody
from core.db.tables import EvalRun
from core.filters import TraceFilters
from core.ids import RunStatus
from core.queries import run_pairs, run_rows, run_sampling
from tests.api.conftest import MODEL, Service, provider, running
from tests.factories import end_run, new_score
from workflows.workflow_state import WorkflowState

RUNS = "/evaluations/trace-runs"
METRICS = ["task_completion", "tool_correctness"]


def body_of(answer: httpx.Response, status: int = 202) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    held = answer.json()
    EvalRunBody.model_validate(held, extra="forbid")
    assert isinstance(held, dict)
    return held


async def post(service: Service, **body: Any) -> httpx.Response:
    return await service.client.post(RUNS, json={"metrics": METRICS} | body)


async def end(service: Service, run_id: str, status: RunStatus, error: str | None = None) -> None:
    await end_run(service.database, service.project_id, UUID(run_id), status, error)


async def row_of(service: Service, run_id: str) -> EvalRun | None:
    async with service.database.read() as db:
        return await run_rows.find(db, service.project_id, UUID(run_id))


async def test_a_run_is_opened_with_what_was_asked_for(service: Service) -> None:
    await service.publish(provider())
    await service.post_trace(tags=["a"])
    service.runs.answers = running(total=1)
    filters = {"tags": ["a"], "date_from": "2026-01-01", "status": None}
    answer = await post(
        service, name="mine", filters=filters, sampling_rate=0.5, fresh=True,
        metrics=[*METRICS, METRICS[0]],
    )  # fmt: skip
    run = body_of(answer)
    assert run["status"] == "RUNNING"
    assert run["total_traces"] == run["total_targets"] == 1
    assert run["activity"] == "judging"
    assert run["metric_names"] == METRICS
    assert run["filters"] == {"tags": ["a"], "date_from": "2026-01-01"}
    assert (run["name"], run["sampling_rate"], run["model"]) == ("mine", 0.5, MODEL)
    assert (run["target_type"], run["fresh"]) == ("TRACE", True)
    assert run["project_id"] == str(service.project_id)
    [started] = service.runs.started
    assert str(started.run_id) == run["id"]
    assert (started.metric_names, started.model) == (METRICS, MODEL)


async def test_a_run_nobody_has_begun_is_pending_and_says_why(service: Service) -> None:
    await service.post_trace()
    run = body_of(await post(service))
    assert (run["status"], run["total_traces"]) == ("PENDING", 0)
    assert run["activity"] == "no worker is running"
    await service.publish(provider())
    run = body_of(await service.client.get(f"{RUNS}/{run['id']}"), 200)
    assert run["activity"] == "waiting for a worker to begin"


async def test_without_a_worker_every_model_is_accepted(service: Service) -> None:
    await service.post_trace()
    assert body_of(await post(service, model="nobody/knows"))["model"] == "nobody/knows"
    assert body_of(await post(service))["model"]


async def test_a_model_without_credentials_is_refused_with_what_is_missing(
    service: Service,
) -> None:
    await service.publish(provider(available=False, message="OPENAI_API_KEY is not set"))
    await service.post_trace()
    answer = await post(service, model="openai/gpt-test")
    assert answer.status_code == 422
    assert "OPENAI_API_KEY" in answer.json()["detail"]


async def test_when_no_trace_matches_nothing_is_created(service: Service) -> None:
    await service.post_trace()
    answer = await post(service, filters={"name": "somebody else"})
    assert answer.status_code == 422
    assert "No trace matches" in answer.json()["detail"]
    assert (await service.client.get(RUNS)).json()["total"] == 0


async def test_a_batch_names_its_traces(service: Service) -> None:
    first, second = await service.post_trace(), await service.post_trace()
    ids = [second, first, second]
    answer = await service.client.post(
        f"{RUNS}/batch", json={"trace_ids": ids, "metrics": METRICS, "name": "b"}
    )
    run = body_of(answer)
    assert run["filters"] == {"trace_ids": [second, first]}
    assert (run["name"], run["sampling_rate"]) == ("b", 1)


async def test_a_batch_with_unknown_traces_lists_ten_of_them(service: Service) -> None:
    known, unknown = await service.post_trace(), [str(uuid4()) for _ in range(12)]
    answer = await service.client.post(
        f"{RUNS}/batch", json={"trace_ids": [known, *unknown], "metrics": METRICS}
    )
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert all(trace_id in detail for trace_id in unknown[:10])
    assert "and 2 more" in detail
    assert known not in detail
    assert not any(trace_id in detail for trace_id in unknown[10:])
    assert (await service.client.get(RUNS)).json()["total"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"trace_ids": []},
        {"trace_ids": ["nonsense"]},
        {"trace_ids": [str(uuid4())] * 10_001},
        {"trace_ids": [str(uuid4())], "sampling_rate": 1},
        {"trace_ids": [str(uuid4())], "metrics": []},
        {},
    ],
)
async def test_a_bad_batch_is_422(shared_service: Service, body: dict[str, Any]) -> None:
    answer = await shared_service.client.post(f"{RUNS}/batch", json={"metrics": METRICS} | body)
    assert answer.status_code == 422


async def test_with_temporal_away_nothing_is_left_behind(service: Service) -> None:
    await service.post_trace()
    service.runs.reachable = False
    answer = await post(service)
    assert answer.status_code == 503
    assert "Temporal" in answer.json()["detail"]
    service.runs.reachable, service.runs.start_fails = True, True
    answer = await service.client.post(
        RUNS, json={"metrics": METRICS}, headers={"Idempotency-Key": "k"}
    )
    assert answer.status_code == 503
    assert (await service.client.get(RUNS)).json()["total"] == 0
    service.runs.start_fails = False
    answer = await service.client.post(
        RUNS, json={"metrics": METRICS}, headers={"Idempotency-Key": "k"}
    )
    body_of(answer)


@pytest.mark.parametrize("existing", [WorkflowState.OPEN, WorkflowState.CLOSED, None])
async def test_a_run_that_may_have_started_stays(
    service: Service, existing: WorkflowState | None
) -> None:
    await service.post_trace()
    service.runs.start_fails, service.runs.existing = True, existing
    run = body_of(await post(service))
    assert run["status"] == "PENDING"
    assert (await service.client.get(f"{RUNS}/{run['id']}")).status_code == 200


async def test_while_a_run_goes_on_its_workflow_is_believed(service: Service) -> None:
    await service.post_trace()
    run = body_of(await post(service))
    service.runs.answers = running(total=9, evaluated=4, failed_count=2)
    for held in (
        (await service.client.get(f"{RUNS}/{run['id']}")).json(),
        (await service.client.get(RUNS)).json()["items"][0],
    ):
        assert (held["status"], held["total_traces"]) == ("RUNNING", 9)
        assert (held["evaluated_count"], held["failed_count"]) == (4, 2)
        assert held["activity"] == "judging"


async def test_once_a_run_is_over_its_row_is_believed(service: Service) -> None:
    await service.post_trace()
    run = body_of(await post(service))
    service.runs.answers = running(total=9)
    await end(service, run["id"], RunStatus.FAILED, "The key was refused.")
    held = body_of(await service.client.get(f"{RUNS}/{run['id']}"), 200)
    assert (held["status"], held["total_traces"], held["activity"]) == ("FAILED", 0, None)
    assert held["error_message"] == "The key was refused."
    assert held["completed_at"]


async def test_a_run_that_ends_between_row_and_query_is_read_again(service: Service) -> None:
    await service.post_trace()
    run = body_of(await post(service))
    await end(service, run["id"], RunStatus.COMPLETED)
    row = await row_of(service, run["id"])
    assert row is not None
    row.status = RunStatus.RUNNING  # the row as a request read it a moment before
    held = await progress.live(service.stack, row)
    assert held.status is RunStatus.COMPLETED


async def test_runs_are_listed_newest_first(service: Service) -> None:
    await service.post_trace()
    ids = [body_of(await post(service, name=f"r{n}"))["id"] for n in range(3)]
    await end(service, ids[1], RunStatus.COMPLETED)
    answer = await service.client.get(RUNS)
    page = PageOf[EvalRunBody].model_validate(answer.json(), extra="forbid")
    assert [str(item.id) for item in page.items] == ids[::-1]
    answer = await service.client.get(RUNS, params={"status": "PENDING", "limit": 1, "offset": 1})
    assert [item["id"] for item in answer.json()["items"]] == [ids[0]]
    assert answer.json()["total"] == 2
    for bad in ({"limit": 0}, {"limit": 201}, {"offset": -1}, {"status": "DONE"}, {"x": 1}):
        assert (await service.client.get(RUNS, params=bad)).status_code == 422


async def test_a_run_under_way_can_be_cancelled_and_one_that_is_over_cannot(
    service: Service,
) -> None:
    await service.post_trace()
    run = body_of(await post(service))
    held = body_of(await service.client.post(f"{RUNS}/{run['id']}/cancel"))
    assert held["activity"] == "cancelling; no worker is running"
    assert [str(run_id) for run_id in service.runs.cancelled] == [run["id"]]
    await end(service, run["id"], RunStatus.FAILED, "Cancelled.")
    assert (await service.client.post(f"{RUNS}/{run['id']}/cancel")).status_code == 409


async def test_a_cancel_that_cannot_be_delivered_leaves_the_run_alone(service: Service) -> None:
    await service.post_trace()
    run = body_of(await post(service))
    service.runs.reachable = False
    assert (await service.client.post(f"{RUNS}/{run['id']}/cancel")).status_code == 503
    assert (await service.client.delete(f"{RUNS}/{run['id']}")).status_code == 503
    row = await row_of(service, run["id"])
    assert row is not None
    assert row.cancel_requested_at is None


async def test_deleting_a_run_cancels_it_first_when_it_is_under_way(service: Service) -> None:
    await service.post_trace()
    open_run, over = body_of(await post(service)), body_of(await post(service))
    await end(service, over["id"], RunStatus.COMPLETED)
    for run in (open_run, over):
        assert (await service.client.delete(f"{RUNS}/{run['id']}")).status_code == 204
        assert (await service.client.get(f"{RUNS}/{run['id']}")).status_code == 404
    assert [str(run_id) for run_id in service.runs.cancelled] == [open_run["id"]]


async def test_only_ended_runs_with_failed_pairs_can_be_retried(service: Service) -> None:
    await service.post_trace()
    run = body_of(await post(service))
    retry = f"{RUNS}/{run['id']}/retry"
    assert (await service.client.post(retry)).status_code == 409
    await end(service, run["id"], RunStatus.COMPLETED)
    answer = await service.client.post(retry)
    assert answer.status_code == 422
    assert "no failed pairs" in answer.json()["detail"]


async def test_every_endpoint_of_a_run_hides_runs_of_other_projects(service: Service) -> None:
    await service.post_trace()
    run = body_of(await post(service))
    theirs = {"X-API-Key": await service.key(), "X-Project-Name": "theirs"}
    for run_id in (run["id"], str(uuid4())):
        for method, path in (
            ("GET", ""),
            ("GET", "/events"),
            ("GET", "/scores"),
            ("POST", "/cancel"),
            ("POST", "/retry"),
            ("DELETE", ""),
        ):
            answer = await service.client.request(method, f"{RUNS}/{run_id}{path}", headers=theirs)
            assert answer.status_code == 404, (method, path)
    assert (await service.client.get(f"{RUNS}/nonsense")).status_code == 422
    assert service.runs.cancelled == []


async def test_the_template_is_a_run_to_fill_in(service: Service) -> None:
    await service.publish(provider())
    answer = await service.client.get(f"{RUNS}/template", params={"metric": "task_completion"})
    assert answer.status_code == 200
    held = answer.json()
    assert held["model"] == MODEL
    assert held["sampling_rate"] == 1
    assert set(held["filters"].values()) == {None}
    assert set(held["filters"]) == set(TraceFilters.model_fields)
    assert held["metric"]["name"] == "task_completion"
    assert held["metric"]["default_threshold"] == 0.5
    assert all(stage["prompt"] for stage in held["metric"]["prompt_preview"])
    assert (await service.client.get(f"{RUNS}/template")).status_code == 422


async def test_counts_do_not_fall_when_no_worker_answers(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace_id = await service.post_trace()
    run = (await service.client.post(RUNS, json={"metrics": METRICS[:1]})).json()
    async with service.database.write() as db:
        row = await run_rows.lock(db, service.project_id, UUID(run["id"]))
        await run_sampling.freeze(db, row, [trace_id])
    async with service.database.write() as db:
        await run_pairs.record(db, [new_score(row, trace_id)])
    found = (await service.client.get(f"{RUNS}/{run['id']}")).json()
    assert (found["status"], found["evaluated_count"]) == ("PENDING", 1)
    monkeypatch.setattr(budget_view, "MAX_COUNTED", 0)
    service.runs.counts = (1, 0)
    found = (await service.client.get(f"{RUNS}/{run['id']}")).json()
    assert found["evaluated_count"] == 1
