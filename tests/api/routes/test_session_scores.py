from typing import Any
from uuid import uuid4

import pytest

from core.ids import ScoreStatus, TargetType
from core.queries import run_pairs, run_rows
from tests.api.conftest import Service
from tests.factories import new_run, new_score

SCORES = "/evaluations/session-scores"
ANALYTICS = "/evaluations/analytics/session-scores"


async def judged(service: Service, *scores: tuple[str, str, float | None], **of: Any) -> str:
    """A run that gave these scores: session, metric, number."""
    run = new_run(
        service.project_id, target_type=TargetType.SESSION, metric_names=["agent_reliability"]
    )
    async with service.database.write() as db:
        row = await run_rows.create(db, run)
        await run_pairs.record(
            db,
            [
                new_score(row, session, metric=metric, number=number, **of)
                for session, metric, number in scores
            ],
        )
    return str(row.id)


async def test_scores_are_listed_newest_first_and_filtered(service: Service) -> None:
    first = await judged(service, ("a", "agent_reliability", 0.25), ("b", "agent_consistency", 1.0))
    await judged(service, ("a", "agent_reliability", 0.5))
    await judged(service, (str(uuid4()), "confidence", 1.0), target_type=TargetType.TRACE)

    async def values(**params: Any) -> list[str]:
        answer = await service.client.get(SCORES, params=params)
        assert answer.status_code == 200, answer.text
        assert answer.json()["total"] == len(answer.json()["items"])
        return [item["value"] for item in answer.json()["items"]]

    assert (await values())[0] == "0.5"
    assert len(await values()) == 3
    assert await values(session_id="a") == ["0.5", "0.25"]
    assert await values(eval_run_id=first, name="agent_consistency") == ["1"]
    assert await values(status="FAILED") == []
    assert await values(date_from="2100-01-01") == []


@pytest.mark.parametrize(
    "params", [{"environment": "x"}, {"trace_id": str(uuid4())}, {"limit": 201}, {"status": "OK"}]
)
async def test_a_bad_list_is_422(shared_service: Service, params: dict[str, Any]) -> None:
    assert (await shared_service.client.get(SCORES, params=params)).status_code == 422


async def test_a_session_has_all_its_scores_newest_first(service: Service) -> None:
    await judged(service, ("a/b", "agent_reliability", 0.25), ("a/b", "agent_consistency", 1.0))
    await judged(service, ("a/b", "agent_reliability", None))
    found = (await service.client.get(f"{SCORES}/a%2Fb")).json()
    assert [(s["session_id"], s["name"], s["value"]) for s in found[:1]] == [
        ("a/b", "agent_reliability", None)
    ]
    assert {(s["name"], s["value"]) for s in found[1:]} == {
        ("agent_consistency", "1"),
        ("agent_reliability", "0.25"),
    }
    assert (await service.client.get(f"{SCORES}/nobody")).json() == []
    await service.post_trace(session_id="unjudged")
    assert (await service.client.get(f"{SCORES}/unjudged")).json() == []


async def test_a_session_score_is_deleted_and_a_trace_score_is_not(service: Service) -> None:
    await judged(service, ("a", "agent_reliability", 0.25))
    [score] = (await service.client.get(SCORES)).json()["items"]
    assert (await service.client.delete(f"{SCORES}/{score['id']}")).status_code == 204
    assert (await service.client.delete(f"{SCORES}/{score['id']}")).status_code == 404
    await judged(service, (str(uuid4()), "confidence", 1.0), target_type=TargetType.TRACE)
    [signal] = (await service.client.get("/evaluations/trace-scores")).json()["items"]
    assert (await service.client.delete(f"{SCORES}/{signal['id']}")).status_code == 404
    assert (await service.client.delete(f"{SCORES}/nonsense")).status_code == 422


async def test_a_history_is_the_newest_scores_oldest_first(service: Service) -> None:
    for number in (0.1, 0.2, 0.3):
        run = await judged(service, ("s", "agent_reliability", number))
    await judged(service, ("s", "agent_consistency", None), status=ScoreStatus.FAILED)
    answer = await service.client.get(
        f"{ANALYTICS}/history/s", params={"metric_name": "agent_reliability", "limit": 2}
    )
    found = answer.json()
    assert [one["score"] for one in found] == [0.2, 0.3]
    assert found[-1].keys() == {"metric_name", "score", "eval_run_id", "created_at", "status"}
    assert found[-1]["eval_run_id"] == run
    whole = (await service.client.get(f"{ANALYTICS}/history/s")).json()
    assert (whole[-1]["metric_name"], whole[-1]["status"]) == ("agent_consistency", "FAILED")
    assert (await service.client.get(f"{ANALYTICS}/history/nobody")).json() == []


async def test_a_comparison_has_the_latest_success_of_each_session_worst_first(
    service: Service,
) -> None:
    metric = "agent_reliability"
    await judged(service, ("a", metric, 0.1), ("b", metric, 0.5), ("c", metric, None))
    run = await judged(service, ("a", metric, 0.9), ("d", "agent_consistency", 0.0))
    await judged(service, ("b", metric, None), status=ScoreStatus.FAILED)

    async def compared(**params: Any) -> list[tuple[str, float | None]]:
        answer = await service.client.get(
            f"{ANALYTICS}/comparison", params={"metric_name": metric} | params
        )
        assert answer.json()["total"] == 3
        return [(item["session_id"], item["score"]) for item in answer.json()["items"]]

    assert await compared() == [("b", 0.5), ("a", 0.9), ("c", None)]
    assert await compared(sort_order="desc") == [("a", 0.9), ("b", 0.5), ("c", None)]
    everyone = [("b", 0.5), ("a", 0.9), ("c", None)]
    for limit in (1, 2):
        for offset in range(4):
            part = everyone[offset : offset + limit]
            assert await compared(limit=limit, offset=offset) == part, (limit, offset)
    answer = await service.client.get(f"{ANALYTICS}/comparison", params={"metric_name": metric})
    assert answer.json()["items"][1]["eval_run_id"] == run
    assert answer.json()["limit"] == 20


@pytest.mark.parametrize(
    "params", [{}, {"metric_name": "m", "limit": 101}, {"metric_name": "m", "sort_order": "up"}]
)
async def test_a_bad_comparison_is_422(shared_service: Service, params: dict[str, Any]) -> None:
    answer = await shared_service.client.get(f"{ANALYTICS}/comparison", params=params)
    assert answer.status_code == 422
