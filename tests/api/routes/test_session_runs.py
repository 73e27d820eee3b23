from typing import Any, cast
from uuid import UUID

import httpx
import pytest

from core.ids import RunStatus, ScoreStatus, TargetType
from core.queries import run_pairs, run_rows, run_sampling
from tests.api.conftest import MODEL, Service, provider, running
from tests.factories import end_run, new_score

RUNS = "/evaluations/session-runs"
METRICS = ["agent_consistency", "agent_reliability"]


async def post(service: Service, path: str = RUNS, **body: Any) -> httpx.Response:
    return await service.client.post(path, json={"metrics": METRICS} | body)


def run_of(answer: httpx.Response, status: int = 202) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return cast(dict[str, Any], answer.json())


async def test_a_session_run_is_opened_with_its_weights_inside_its_filters(
    service: Service,
) -> None:
    await service.publish(provider())
    await service.post_trace(session_id="s")
    service.runs.answers = running(total=1)
    answer = await post(
        service,
        filters={"user_id": None, "min_trace_count": 1, "has_error": False},
        signal_weights={"coherence": 0.5, "confidence": 0},
        name="nightly",
        sampling_rate=0.5,
    )
    run = run_of(answer)
    assert run["filters"] == {
        "min_trace_count": 1,
        "has_error": False,
        "signal_weights": {"confidence": 0, "coherence": 0.5},
    }
    assert (run["target_type"], run["total_traces"], run["total_targets"]) == ("SESSION", 1, 1)
    assert (run["model"], run["name"], run["sampling_rate"]) == (MODEL, "nightly", 0.5)
    [started] = service.runs.started
    assert started.target_type is TargetType.SESSION
    assert started.metric_names == METRICS


async def test_a_batch_names_its_sessions(service: Service) -> None:
    for name in ("a", "b/c"):
        await service.post_trace(session_id=name)
    run = run_of(
        await post(
            service,
            f"{RUNS}/batch",
            session_ids=["b/c", "a", "b/c"],
            signal_weights={"coherence": 2},
        )
    )
    assert run["filters"] == {"session_ids": ["b/c", "a"], "signal_weights": {"coherence": 2}}
    refused = await post(service, f"{RUNS}/batch", session_ids=["a", "nobody's"])
    assert refused.status_code == 422
    reason = "no sessions nobody's: they have not arrived yet or do not exist"
    assert reason in refused.json()["detail"]


async def test_when_no_session_matches_nothing_is_created(service: Service) -> None:
    await service.post_trace()
    answer = await post(service)
    assert answer.status_code == 422
    assert "No session matches" in answer.json()["detail"]
    assert (await service.client.get(RUNS)).json()["total"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"metrics": ["task_completion"]},
        {"metrics": ["loop_detection"]},
        {"metrics": []},
        {"signal_weights": {"loops": 1}},
        {"signal_weights": {"coherence": -0.1}},
        {"signal_weights": {"coherence": 1000.1}},
        {"signal_weights": {"coherence": "much"}},
        {"filters": {"name": "x"}},
        {"filters": {"min_trace_count": 0}},
        {"filters": {"signal_weights": {"coherence": 1}}},
        {"filters": {"date_from": "2026-01-02", "date_to": "2026-01-01"}},
        {"filters": {"has_error": "perhaps"}},
        {"sampling_rate": 1.1},
        {"session_ids": ["s"]},
    ],
)
async def test_a_bad_session_run_is_422(sqlite_service: Service, body: dict[str, Any]) -> None:
    await sqlite_service.post_trace(session_id="s")
    assert (await post(sqlite_service, **body)).status_code == 422


async def test_runs_over_sessions_and_runs_over_traces_do_not_see_each_other(
    sqlite_service: Service,
) -> None:
    service = sqlite_service
    await service.post_trace(session_id="s")
    session_run = run_of(await post(service))
    answer = await service.client.post("/evaluations/trace-runs", json={"metrics": ["confidence"]})
    trace_run = run_of(answer)
    for kind, mine, theirs in (
        ("session", session_run, trace_run),
        ("trace", trace_run, session_run),
    ):
        path = f"/evaluations/{kind}-runs"
        listed = (await service.client.get(path)).json()
        assert [run["id"] for run in listed["items"]] == [mine["id"]]
        assert (await service.client.get(f"{path}/{mine['id']}")).status_code == 200
        other = f"{path}/{theirs['id']}"
        for method, url in (
            ("GET", other),
            ("GET", f"{other}/events"),
            ("GET", f"{other}/scores"),
            ("POST", f"{other}/cancel"),
            ("POST", f"{other}/retry"),
            ("DELETE", other),
        ):
            assert (await service.client.request(method, url)).status_code == 404


async def ended(service: Service) -> dict[str, Any]:
    """A run with one successful and one failed pair, and with a signal among its scores."""
    trace_id = await service.post_trace(session_id="s")
    run = run_of(await post(service))
    async with service.database.write() as db:
        row = await run_rows.get(db, service.project_id, UUID(run["id"]))
        await run_sampling.freeze(db, row, await run_sampling.draw(db, row))
        signal = new_score(row, trace_id, target_type=TargetType.TRACE, metric="confidence")
        failed = new_score(row, "s", status=ScoreStatus.FAILED, number=None)
        await run_pairs.record(db, [signal, failed, new_score(row, "s", metric=METRICS[1])])
    await end_run(service.database, service.project_id, row.id, RunStatus.COMPLETED)
    return run


async def test_the_scores_of_a_session_run_are_those_of_sessions(service: Service) -> None:
    run = await ended(service)
    scores = run_of(await service.client.get(f"{RUNS}/{run['id']}/scores"), 200)
    assert [(s["session_id"], s["name"]) for s in cast(list[dict[str, Any]], scores)] == [
        ("s", metric) for metric in METRICS
    ]
    for score in cast(list[dict[str, Any]], scores):
        assert score.keys().isdisjoint({"trace_id", "environment", "config_id"})
    signals = await service.client.get(
        "/evaluations/trace-scores", params={"eval_run_id": run["id"]}
    )
    assert [s["name"] for s in signals.json()["items"]] == ["confidence"]


async def test_a_retry_is_over_the_sessions_that_failed(service: Service) -> None:
    run = await ended(service)
    new = run_of(await service.client.post(f"{RUNS}/{run['id']}/retry"))
    assert new["filters"] == {"retry_of": run["id"], "session_ids": ["s"]}
    assert (new["target_type"], new["metric_names"]) == ("SESSION", METRICS[:1])


async def test_a_session_run_can_be_cancelled_once_and_deleted_with_its_signals(
    service: Service,
) -> None:
    await service.post_trace(session_id="s")
    run = run_of(await post(service))
    path = f"{RUNS}/{run['id']}"
    assert run_of(await service.client.post(f"{path}/cancel"))["activity"] is not None
    assert [str(run_id) for run_id in service.runs.cancelled] == [run["id"]]
    over = f"{RUNS}/{(await ended(service))['id']}"
    assert (await service.client.post(f"{over}/cancel")).status_code == 409
    gone = await service.client.delete(over, params={"delete_scores": True})
    assert gone.status_code == 204
    assert (await service.client.get("/evaluations/trace-scores")).json()["total"] == 0
    assert (await service.client.get("/evaluations/session-scores")).json()["total"] == 0


async def test_the_events_of_a_session_run_end_with_it(sqlite_service: Service) -> None:
    run = await ended(sqlite_service)
    answer = await sqlite_service.client.get(f"{RUNS}/{run['id']}/events")
    lines = answer.text.splitlines()
    assert [line for line in lines if line.startswith("event")] == [
        "event: progress",
        "event: done",
    ]


async def test_a_template_shows_every_filter_and_the_default_weights(
    shared_service: Service,
) -> None:
    answer = await shared_service.client.get(
        f"{RUNS}/template", params={"metric": "agent_reliability"}
    )
    template = run_of(answer, 200)
    assert template["metric"]["category"] == "session"
    assert template["metric"]["prompt_preview"] == []
    assert set(template["filters"]) == {
        "date_from",
        "date_to",
        "user_id",
        "has_error",
        "tags",
        "min_trace_count",
    }
    assert set(template["filters"].values()) == {None}
    assert template["signal_weights"]["tool_correctness"] == 0.8
    unknown = await shared_service.client.get(f"{RUNS}/template", params={"metric": "confidence"})
    assert unknown.status_code == 422


async def test_the_same_key_opens_one_session_run(service: Service) -> None:
    await service.post_trace(session_id="s")
    headers = {"Idempotency-Key": "k"}
    body = {"metrics": METRICS}
    first = await service.client.post(RUNS, json=body, headers=headers)
    again = await service.client.post(RUNS, json=body, headers=headers)
    assert run_of(first)["id"] == run_of(again)["id"]
    other = body | {"signal_weights": {"coherence": 1}}
    assert (await service.client.post(RUNS, json=other, headers=headers)).status_code == 409
