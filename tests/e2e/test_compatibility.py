"""Rules that existing clients of the peer's API rely on, against live processes."""

import asyncio
from typing import Any
from uuid import uuid4

from tests.e2e.conftest import Assay

METRICS = ["step_efficiency", "task_completion"]


async def test_a_client_that_waits_for_scores_sees_no_part_of_a_verdict(
    assay_on_sqlite: Assay,
) -> None:
    """The client polls until a non-empty list has no PENDING row, and then acts on the list."""
    assay = assay_on_sqlite
    traces = await assay.store_traces(6)
    answer = await assay.api.post(
        "/evaluations/trace-runs/batch", json={"trace_ids": traces, "metrics": METRICS}
    )
    assert answer.status_code == 202, answer.text
    path = f"/evaluations/trace-runs/{answer.json()['id']}/scores"
    expected = {(trace, metric) for trace in traces for metric in METRICS}
    first = (await assay.api.get(path)).json()
    assert {score["status"] for score in first} == {"PENDING"}, "listed before a worker runs"
    assert {(score["trace_id"], score["name"]) for score in first} == expected
    await assay.start_worker()
    scores: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while not scores or any(score["status"] == "PENDING" for score in scores):
            scores = (await assay.api.get(path)).json()
            assert {(score["trace_id"], score["name"]) for score in scores} == expected
            assert len(scores) == len(expected)
    assert {score["status"] for score in scores} == {"SUCCESS"}


async def test_a_client_with_a_project_of_its_own_works_with_the_first_key(
    assay_on_sqlite: Assay,
) -> None:
    """The bootstrap key works in its home project, and in any project that a header names."""
    assay = assay_on_sqlite
    await assay.store_traces(1)
    mine = {"X-Project-Name": "my-agent", "X-Organization-ID": str(uuid4())}
    assert (await assay.api.get("/traces", headers=mine)).json()["total"] == 0
    assert (await assay.api.get("/traces")).json()["total"] == 1
    names = [one["name"] for one in (await assay.api.get("/projects")).json()["items"]]
    assert names == ["default", "my-agent"]
