"""The counts and groups of usage."""

from typing import Any
from uuid import UUID

from core import clock
from core.ids import RunStatus
from core.queries import (
    run_pairs,
    run_rows,
    run_sampling,
)
from core.usage import Usage
from tests.api.calls import admin
from tests.api.conftest import Service
from tests.factories import new_run, new_score, store_traces


async def judged(service: Service) -> UUID:
    traces = [str(one) for one in await store_traces(service.database, service.project_id, 2)]
    metrics = ["task_completion", "coherence"]
    async with service.database.write() as db:
        run = await run_rows.create(
            db, new_run(service.project_id, metric_names=metrics, model="openai/gpt-test")
        )
        await run_sampling.freeze(db, run, traces)
        paid = Usage(
            calls=2,
            cached_calls=1,
            prompt_tokens=100,
            completion_tokens=10,
            cost_usd=0.4,
            repair_calls=1,
            repair_cost_usd=0.1,
        )
        cached = Usage(cached_calls=2, cost_usd=0.0)
        await run_pairs.record(
            db,
            [
                new_score(run, traces[0], metric="task_completion", usage=paid),
                new_score(run, traces[1], metric="task_completion", usage=cached),
                new_score(run, traces[0], metric="coherence", usage=Usage()),
            ],
        )
        await run_rows.finish(
            db, service.project_id, run.id, status=RunStatus.FAILED, error_message="x"
        )
    return run.id


async def test_every_metric_of_a_shared_call_counts_as_judged(service: Service) -> None:
    """The first metric counts the call; each has its part of the tokens and of an unknown cost."""
    [trace] = [str(one) for one in await store_traces(service.database, service.project_id, 1)]
    metrics = ["task_completion", "tool_correctness", "step_efficiency"]
    whole = Usage(calls=1, prompt_tokens=90, completion_tokens=30, cost_usd=None)
    async with service.database.write() as db:
        run = await run_rows.create(
            db, new_run(service.project_id, metric_names=metrics, model="openai/gpt-test")
        )
        await run_sampling.freeze(db, run, [trace])
        await run_pairs.record(
            db,
            [
                new_score(run, trace, metric=metric, usage=whole.share(place, len(metrics)))
                for place, metric in enumerate(metrics)
            ],
        )
    answer = await service.client.get(
        "/usage", params={"group_by": "metric"}, headers=await admin(service)
    )
    found = {group["group"]: group for group in answer.json()}
    assert [found[metric]["pairs_judged"] for metric in metrics] == [1, 1, 1]
    assert [found[metric]["judge_calls"] for metric in metrics] == [1, 0, 0]
    assert [found[metric]["cost_usd"] for metric in metrics] == [None, None, None]


async def test_a_shared_call_from_the_cache_counts_its_pairs_and_saves_one_call(
    service: Service,
) -> None:
    [trace] = [str(one) for one in await store_traces(service.database, service.project_id, 1)]
    metrics = ["task_completion", "tool_correctness", "step_efficiency"]
    paid = Usage(calls=1, prompt_tokens=90, completion_tokens=30, cost_usd=0.3)
    shares = [paid.share(place, len(metrics)) for place in range(len(metrics))]
    async with service.database.write() as db:
        for usages in (shares, [Usage(cached_calls=1)] * 3):
            run = await run_rows.create(db, new_run(service.project_id, metric_names=metrics))
            await run_sampling.freeze(db, run, [trace])
            of_pairs = zip(metrics, usages, strict=True)
            scores = [new_score(run, trace, metric=one, usage=usage) for one, usage in of_pairs]
            await run_pairs.record(db, scores)
    answer = await service.client.get("/usage", headers=await admin(service))
    [found] = answer.json()
    assert (found["pairs_judged"], found["pairs_from_cache"]) == (3, 3)
    assert found["saved_usd"] == found["cost_usd"] == 0.3


async def test_usage_is_grouped_and_counts_what_the_cache_saved(service: Service) -> None:
    run_id = await judged(service)
    headers = await admin(service)

    async def usage(**query: Any) -> list[dict[str, Any]]:
        answer = await service.client.get("/usage", params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    everything = {
        "judge_calls": 2,
        "cached_calls": 3,
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "cost_usd": 0.4,
        "repair_calls": 1,
        "repair_cost_usd": 0.1,
        "pairs_judged": 1,
        "pairs_from_cache": 1,
        "saved_usd": 0.6,
    }
    today = clock.now().date().isoformat()
    assert await usage() == [{"group": today} | everything]
    assert await usage(group_by="model") == [{"group": "openai/gpt-test"} | everything]
    assert await usage(group_by="run") == [{"group": str(run_id)} | everything]
    assert await usage(group_by="monitor") == [{"group": None} | everything]
    by_metric = await usage(group_by="metric")
    assert [one["group"] for one in by_metric] == ["task_completion", "coherence"]
    assert (by_metric[1]["judge_calls"], by_metric[1]["saved_usd"]) == (0, 0)
    assert await usage(date_from="2100-01-01") == []
    elsewhere = await service.client.get("/usage", headers=headers | {"X-Project-Name": "new"})
    assert elsewhere.json() == []
    wrong = await service.client.get("/usage", params={"group_by": "week"}, headers=headers)
    assert wrong.status_code == 422
