"""Measuring the noise of a judge over HTTP."""

from typing import Any
from uuid import UUID

import pytest

from core.db.tables import EvalRun
from core.ids import RunStatus
from core.queries import run_pairs, run_rows
from tests.api.conftest import Service, provider
from tests.api.routes.test_comparisons import PATH as COMPARISONS
from tests.api.routes.test_comparisons import THRESHOLD, always, compare, ended_run
from tests.factories import new_score, store_traces

PATH = "/evaluations/noise"
MODEL = "openai/gpt-test"


async def measure(service: Service, run: EvalRun, **options: Any) -> dict[str, Any]:
    await service.publish(provider())
    answer = await service.client.post(PATH, json={"run_id": str(run.id), **options})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def judge_again(
    service: Service, measured: str, moved: float, *, version: str = "v1"
) -> dict[str, Any]:
    """Ends the run of the measurement.

    Its scores differ by `moved` from the first scores, alternately up and down.
    """
    async with service.database.read() as db:
        run = await run_rows.get(db, service.project_id, UUID(measured))
        pairs = await run_pairs.restricted_targets(db, run.id)
    async with service.database.write() as db:
        for number, (target, metrics) in enumerate(sorted(pairs.items())):
            value = 0.5 + moved * (-1) ** number
            metadata = THRESHOLD | {"metric_version": version}
            scores = [
                new_score(run, target, metric=metric, number=value, metadata=metadata)
                for metric in metrics
            ]
            await run_pairs.record(db, scores)
    async with service.database.write() as db:
        row = await run_rows.lock(db, service.project_id, run.id)
        row.resolved_at = row.created_at
        await run_rows.finish(
            db, service.project_id, run.id, status=RunStatus.COMPLETED, error_message=None
        )
    found: dict[str, Any] = (await service.client.get(f"{PATH}/{measured}")).json()
    return found


async def test_a_sample_of_a_run_is_judged_again_past_the_stored_judgements(
    service: Service,
) -> None:
    traces = await store_traces(service.database, service.project_id, 30)
    run = await ended_run(service, traces, lambda n: None if n < 5 else 0.5, model=MODEL)
    found = await measure(service, run, sample=12)
    assert (found["status"], found["sample"], found["metrics"]) == ("RUNNING", 12, [])
    again = (await service.client.get(f"/evaluations/trace-runs/{found['id']}")).json()
    assert again["total_targets"] == 12
    assert again["filters"]["noise_of"] == str(run.id)
    assert again["model"] == MODEL
    assert not set(again["filters"]["trace_ids"]) & {str(trace) for trace in traces[:5]}
    [started] = service.runs.started
    assert started.fresh
    second = await measure(service, run, sample=12)
    drawn = (await service.client.get(f"/evaluations/trace-runs/{second['id']}")).json()
    assert drawn["filters"]["trace_ids"] == again["filters"]["trace_ids"], "the seed is fixed"
    other = await measure(service, run, sample=12, seed=7)
    drawn = (await service.client.get(f"/evaluations/trace-runs/{other['id']}")).json()
    assert drawn["filters"]["trace_ids"] != again["filters"]["trace_ids"]


async def test_comparisons_show_what_the_same_judge_and_version_move_by(service: Service) -> None:
    traces = await store_traces(service.database, service.project_id, 40)
    runs = [await ended_run(service, traces, always(0.5), model=MODEL) for _ in range(2)]
    before = await compare(service, *runs)
    assert before["metrics"][0]["noise"] is None
    found = await measure(service, runs[0])
    ended = await judge_again(service, found["id"], 0.2)
    assert ended["status"] == "COMPLETED"
    [metric] = ended["metrics"]
    assert metric == {
        "metric": "task_completion",
        "metric_version": "v1",
        "pairs": 40,
        "spread": pytest.approx(0.2),
        "mean_difference": pytest.approx(0),
    }
    after = (await service.client.get(f"{COMPARISONS}/{before['id']}")).json()
    # 1.96 · 0.2 / √40
    assert after["metrics"][0]["noise"] == pytest.approx(0.06198, abs=1e-4)
    assert after["metrics"][0]["noise_pairs"] == 40
    assert after["metrics"][0]["noise_measurement"] == found["id"]
    markdown = (await service.client.get(f"{COMPARISONS}/{before['id']}.md")).text
    assert "| ±0.062 |" in markdown
    listed = (await service.client.get(PATH)).json()
    assert listed["items"] == [ended]


async def test_noise_of_another_judge_is_not_shown(service: Service) -> None:
    traces = await store_traces(service.database, service.project_id, 10)
    run = await ended_run(service, traces, always(0.5), model=MODEL)
    await judge_again(service, (await measure(service, run))["id"], 0.1)
    others = [await ended_run(service, traces, always(0.5), model="openai/other") for _ in "ab"]
    assert (await compare(service, *others))["metrics"][0]["noise"] is None
    assert (await compare(service, run, others[0]))["metrics"][0]["noise"] is None


async def test_scores_of_another_version_measure_no_noise(service: Service) -> None:
    traces = await store_traces(service.database, service.project_id, 6)
    run = await ended_run(service, traces, always(0.5), model=MODEL)
    found = await judge_again(service, (await measure(service, run))["id"], 0.1, version="v2")
    assert (found["status"], found["metrics"]) == ("COMPLETED", [])


async def test_what_cannot_be_judged_again_is_refused(service: Service) -> None:
    await service.publish(provider())
    traces = await store_traces(service.database, service.project_id, 3)
    failed = await ended_run(service, traces, lambda _: None, model=MODEL)
    answer = await service.client.post(PATH, json={"run_id": str(failed.id)})
    assert answer.status_code == 422
    assert "no pair with a number" in answer.text
    service.runs.reachable = False
    good = await ended_run(service, traces, always(0.5), model=MODEL)
    assert (await service.client.post(PATH, json={"run_id": str(good.id)})).status_code == 503
    assert (await service.client.get(PATH)).json()["total"] == 0


async def test_a_measurement_whose_run_is_deleted_before_its_end_is_gone(service: Service) -> None:
    traces = await store_traces(service.database, service.project_id, 3)
    run = await ended_run(service, traces, always(0.5), model=MODEL)
    found = await measure(service, run)
    deleted = await service.client.delete(f"/evaluations/trace-runs/{found['id']}")
    assert deleted.status_code == 204
    assert (await service.client.get(f"{PATH}/{found['id']}")).status_code == 404


async def test_a_repeated_request_measures_once(service: Service) -> None:
    await service.publish(provider())
    traces = await store_traces(service.database, service.project_id, 3)
    run = await ended_run(service, traces, always(0.5), model=MODEL)
    headers = {"Idempotency-Key": "once"}
    answers = [
        await service.client.post(PATH, json={"run_id": str(run.id)}, headers=headers)
        for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    other = {"run_id": str(run.id), "sample": 2}
    assert (await service.client.post(PATH, json=other, headers=headers)).status_code == 409
