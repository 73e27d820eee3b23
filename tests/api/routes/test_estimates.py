"""Estimates of runs."""

from typing import Any

import pytest

from api.runs import estimating
from core.queries import run_pairs, run_rows
from evals import catalog
from tests.api.conftest import Service, provider
from tests.factories import new_run, new_score, store_traces

PATH = "/evaluations/trace-runs/estimate"
MODEL = "openai/gpt-4o-mini"
BODY: dict[str, Any] = {"metrics": ["task_completion", "step_efficiency"]}


async def estimate(service: Service, **overrides: Any) -> dict[str, Any]:
    answer = await service.client.post(PATH, json=BODY | overrides)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_an_estimate_counts_pairs_and_calls_and_starts_nothing(service: Service) -> None:
    await service.publish(provider(), provider("offline"), default_model=MODEL)
    await store_traces(service.database, service.project_id, 10)
    found = await estimate(service)
    assert found["model"] == MODEL
    assert (found["matching_traces"], found["pairs"], found["measured_traces"]) == (10, 20, 10)
    assert 10 <= found["judge_calls"] <= 20
    assert 0 < found["prompt_tokens"]["low"] < found["prompt_tokens"]["high"]
    assert 0 < found["completion_tokens"]["low"] <= found["completion_tokens"]["high"]
    assert 0 < found["cost_usd"]["low"] < found["cost_usd"]["high"]
    assert (await service.client.get("/evaluations/trace-runs")).json()["total"] == 0


async def test_sampling_scales_the_estimate(service: Service) -> None:
    await service.publish(provider(), provider("offline"), default_model=MODEL)
    await store_traces(service.database, service.project_id, 10)
    whole, half = await estimate(service), await estimate(service, sampling_rate=0.5)
    assert half["sampled_traces"] == 5
    assert half["prompt_tokens"]["high"] == pytest.approx(whole["prompt_tokens"]["high"] / 2, abs=1)


async def test_a_model_without_a_price_has_no_cost_and_says_why(service: Service) -> None:
    await service.publish(provider(), provider("offline"), default_model=MODEL)
    await store_traces(service.database, service.project_id, 1)
    found = await estimate(service, model="openai/a-model-nobody-has-priced")
    assert found["cost_usd"] is None
    assert "no price" in found["cost_unknown_because"]
    assert found["prompt_tokens"]["low"] > 0


async def test_the_offline_judge_costs_nothing(service: Service) -> None:
    await service.publish(provider(), provider("offline"), default_model=MODEL)
    await store_traces(service.database, service.project_id, 3)
    found = await estimate(service, model="offline/rules")
    assert found["cost_usd"] == {"low": 0, "high": 0}
    assert found["judge_calls"] == 0


async def test_pairs_that_were_judged_before_come_from_the_cache(service: Service) -> None:
    await service.publish(provider(), provider("offline"), default_model=MODEL)
    traces = await store_traces(service.database, service.project_id, 4)
    version = catalog.trace_metric("task_completion").version
    async with service.database.write() as db:
        run = await run_rows.create(db, new_run(service.project_id))
        metadata = {"metric_version": version, "judge": {"model": MODEL}}
        await run_pairs.record(
            db, [new_score(run, str(trace), metadata=metadata) for trace in traces]
        )
    found = await estimate(service, metrics=["task_completion"])
    assert found["cached_pairs"] == 4
    assert found["cost_usd"]["high"] == 0
    again = await estimate(service, metrics=["task_completion"], fresh=True)
    assert again["cached_pairs"] == 0
    assert again["cost_usd"]["high"] > 0


async def test_nothing_that_matches_costs_nothing(service: Service) -> None:
    await service.publish(provider(), provider("offline"), default_model=MODEL)
    found = await estimate(service, filters={"tags": ["nowhere"]})
    assert (found["matching_traces"], found["pairs"]) == (0, 0)
    assert found["cost_usd"] == {"low": 0, "high": 0}


async def test_a_run_that_would_be_refused_has_no_estimate(service: Service) -> None:
    await service.publish(provider(), provider("offline"), default_model=MODEL)
    refused: list[dict[str, Any]] = [
        {"metrics": ["nonsense"]},
        {"model": "nobody/knows"},
        {"filter": {}},
    ]
    for body in refused:
        answer = await service.client.post(PATH, json=BODY | body)
        assert answer.status_code == 422


async def test_metrics_asked_alone_take_more_calls_and_read_each_trace_again(
    service: Service,
) -> None:
    await service.publish(provider(), provider("offline"), default_model=MODEL)
    await store_traces(service.database, service.project_id, 4)
    together, alone = await estimate(service), await estimate(service, bundle=False)
    assert (together["judge_calls"], alone["judge_calls"]) == (4, 8)
    assert alone["prompt_tokens"]["low"] > together["prompt_tokens"]["low"]


async def test_only_a_few_large_traces_are_measured(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.publish(provider(), provider("offline"), default_model=MODEL)
    await store_traces(service.database, service.project_id, 10)
    whole = await estimate(service)
    monkeypatch.setattr(estimating, "_BYTES_LOADED", 1)
    assert await estimate(service) == whole
    monkeypatch.setattr(estimating, "MAX_MEASURED_BYTES", 1)
    one = await estimate(service)
    assert (one["measured_traces"], one["pairs"]) == (1, 20)
