"""The API returns the figures of a run that the dashboard shows."""

from uuid import uuid4

import pytest

from core.db.tables import metadata
from core.ids import ScoreStatus
from tests.api.conftest import Service
from tests.api.dashboard.conftest import put_metadata, score_row, store_run
from tests.factories import tool_span_body


async def test_a_run_has_figures_by_metric_and_reasons_of_failures(service: Service) -> None:
    traces = [await service.post_trace() for _ in range(4)]
    numbers = [0.25, 0.5, 1.0, None]
    run_id = await store_run(
        service,
        [(trace, "task_completion", number) for trace, number in zip(traces, numbers, strict=True)],
    )
    failed = score_row(service, run_id, await service.post_trace(), "task_completion", None)
    async with service.database.write() as db:
        await db.execute(
            metadata.tables["score"].insert(),
            [failed | {"status": ScoreStatus.FAILED, "reason": "No answer came."}],
        )
    found = (await service.client.get(f"/evaluations/trace-runs/{run_id}/figures")).json()
    [metric] = found["metrics"]
    assert metric["metric_name"] == "task_completion"
    assert metric["threshold"] == 0.5
    assert metric["mean"] == pytest.approx(1.75 / 3)
    assert metric["interval"][0] < metric["mean"] < metric["interval"][1]
    counts = ("scored", "passed", "below", "failed", "not_applicable")
    assert [metric[name] for name in counts] == [3, 2, 1, 1, 1]
    assert {place: n for place, n in enumerate(metric["histogram"]) if n} == {5: 1, 10: 1, 19: 1}
    assert found["failures"] == [{"reason": "No answer came.", "count": 1}]


async def test_a_run_is_divided_by_what_its_traces_share(service: Service) -> None:
    blue = await service.post_trace(tags=["blue"])
    other = await service.post_trace(tags=[])
    run_id = await store_run(
        service, [(blue, "task_completion", 0.25), (other, "task_completion", 0.75)]
    )
    address = f"/evaluations/trace-runs/{run_id}/figures/groups"
    found = (await service.client.get(address, params={"by": "tag"})).json()
    means = {group["value"]: group["metrics"][0]["mean"] for group in found}
    assert means == {"blue": 0.25, None: 0.75}
    assert all(group["traces"] == 1 for group in found)


async def test_a_run_says_what_its_findings_speak_against(service: Service) -> None:
    trace_id = await service.post_trace()
    run_id = await store_run(service, [(trace_id, "task_completion", 0.25)])
    finding = {"kind": "wish", "text": "a refund", "verdict": "missed", "tool": "refund"}
    await put_metadata(service, run_id, {"findings": [finding]})
    address = f"/evaluations/trace-runs/{run_id}/figures/blame"
    found = (await service.client.get(address)).json()
    assert found == {
        "findings": 1,
        "complete": True,
        "items": [
            {"name": "refund", "findings": 1, "traces": 1, "scores": 1, "most_often": "a refund"}
        ],
    }
    by_other = await service.client.get(address, params={"metric_name": "coherence"})
    assert by_other.json()["items"] == []


async def test_a_missing_action_is_not_blamed_on_the_tool_before_it(service: Service) -> None:
    span = tool_span_body("find_order", {}, "found")
    trace_id = await service.post_trace(spans=[span])
    run_id = await store_run(service, [(trace_id, "tool_correctness", 0.5)])
    finding = {"kind": "missing", "text": "a refund", "verdict": "missing",
               "span_ids": [span["span_id"]]}  # fmt: skip
    await put_metadata(service, run_id, {"findings": [finding]})
    found = await service.client.get(f"/evaluations/trace-runs/{run_id}/figures/blame")
    assert [one["name"] for one in found.json()["items"]] == ["missing action"]


async def test_figures_refuse_what_they_do_not_know(service: Service) -> None:
    trace_id = await service.post_trace()
    run_id = await store_run(service, [(trace_id, "task_completion", 0.25)])
    figures = f"/evaluations/trace-runs/{run_id}/figures"
    for path in (f"{figures}?by=tag", f"{figures}/groups?by=color", f"{figures}/blame?limit=0"):
        assert (await service.client.get(path)).status_code == 422, path
    for path in (
        f"/evaluations/trace-runs/{uuid4()}/figures",
        f"/evaluations/session-runs/{run_id}/figures",
        f"/evaluations/session-runs/{run_id}/figures/groups",
    ):
        assert (await service.client.get(path)).status_code == 404, path
