"""Comparisons of two runs over HTTP."""

import random
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.testing import ActivityEnvironment

from activities.comparing import partitions
from activities.comparisons import Comparisons
from api.runs import comparing
from core.db.tables import EvalRun
from core.ids import ScoreStatus, TargetType
from core.queries import run_pairs, run_rows
from tests.api.conftest import Service
from tests.factories import end_run, new_run, new_score, store_traces

PATH = "/evaluations/comparisons"
THRESHOLD = {"threshold": 0.5, "metric_version": "v1"}


async def ended_run(
    service: Service,
    traces: Sequence[UUID | str],
    number_of: Callable[[int], float | None],
    *,
    metrics: Sequence[str] = ("task_completion",),
    findings: Callable[[int], list[dict[str, Any]]] = lambda _: [],
    **overrides: Any,
) -> EvalRun:
    """A run whose pairs scored `number_of(n)`; None: FAILED."""
    async with service.database.write() as db:
        run = await run_rows.create(
            db, new_run(service.project_id, metric_names=list(metrics), **overrides)
        )
        scores = []
        for number, trace in enumerate(traces):
            for metric in metrics:
                value = number_of(number)
                status = ScoreStatus.FAILED if value is None else ScoreStatus.SUCCESS
                scores.append(
                    new_score(
                        run,
                        str(trace),
                        metric=metric,
                        number=value,
                        status=status,
                        metadata=THRESHOLD | {"findings": findings(number)},
                    )
                )
        await run_pairs.record(db, scores)
    await end_run(service.database, service.project_id, run.id)
    return run


def always(value: float) -> Callable[[int], float]:
    return lambda _: value


async def compare(service: Service, a: EvalRun, b: EvalRun, **options: Any) -> dict[str, Any]:
    answer = await service.client.post(
        PATH, json={"baseline": str(a.id), "candidate": str(b.id), **options}
    )
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_clear_improvement_is_better(service: Service) -> None:
    traces = await store_traces(service.database, service.project_id, 30)
    rng = random.Random(1)
    worse = await ended_run(service, traces, lambda _: 0.3 + rng.uniform(-0.05, 0.05))
    better = await ended_run(service, traces, lambda _: 0.8 + rng.uniform(-0.05, 0.05))
    found = await compare(service, worse, better)
    [metric] = found["metrics"]
    assert metric["verdict"] == "better"
    assert metric["pairs"] == metric["wins"] == metric["passed_only_candidate"] == 30
    assert metric["interval"]["low"] > 0.4
    assert metric["summary"].startswith("task_completion: better by +0.")
    assert metric["most_improved"][0]["change"] == "fail to pass"
    assert found["pair_by"] == "trace_id"
    again = await service.client.get(f"{PATH}/{found['id']}")
    assert again.json() == found
    reverse = await compare(service, better, worse)
    assert reverse["metrics"][0]["verdict"] == "worse"


async def test_an_identical_run_is_equivalent(service: Service) -> None:
    traces = await store_traces(service.database, service.project_id, 8)
    first, second = [await ended_run(service, traces, lambda n: n / 10) for _ in range(2)]
    [metric] = (await compare(service, first, second))["metrics"]
    assert metric["verdict"] == "equivalent"
    assert metric["ties"] == 8


async def test_what_has_no_partner_is_counted_and_listed(service: Service) -> None:
    traces = await store_traces(service.database, service.project_id, 6)
    first = await ended_run(service, traces[:5], lambda n: None if n == 0 else 0.5)
    second = await ended_run(service, [traces[0], *traces[2:]], lambda _: 0.5)
    [metric] = (await compare(service, first, second))["metrics"]
    assert metric["pairs"] == 3
    left = metric["unpaired"]
    assert (left["failed"], left["only_candidate"], left["only_baseline"]) == (1, 1, 1)
    assert left["listed"] == {
        "failed": [str(traces[0])],
        "only_baseline": [str(traces[1])],
        "only_candidate": [str(traces[5])],
    }


async def test_items_are_paired_by_metadata_and_repeats_are_averaged(service: Service) -> None:
    bodies = [
        await service.post_trace(metadata={"case": {"id": f"c{number % 6}"}})
        for number in range(18)
    ]
    # Each case ran once under the first agent and twice under the second.
    first = await ended_run(service, bodies[:6], lambda _: 0.4)
    second = await ended_run(service, bodies[6:], lambda n: 0.6 if n < 6 else 0.8)
    [metric] = (await compare(service, first, second, pair_by="metadata.case.id"))["metrics"]
    assert metric["pairs"] == 6
    assert metric["candidate_mean"] == pytest.approx(0.7)


async def test_items_are_paired_by_tag(service: Service) -> None:
    bodies = [await service.post_trace(tags=[f"case:{n % 5}", "x"]) for n in range(10)]
    first = await ended_run(service, bodies[:5], lambda _: 0.4)
    second = await ended_run(service, bodies[5:], lambda _: 0.4)
    [metric] = (await compare(service, first, second, pair_by="tag:case:"))["metrics"]
    assert metric["pairs"] == 5


async def test_traces_of_a_session_are_one_cluster(service: Service) -> None:
    traces = await store_traces(service.database, service.project_id, 12, session_id="one")
    runs = [await ended_run(service, traces, always(v)) for v in (0.4, 0.6)]
    [metric] = (await compare(service, *runs))["metrics"]
    assert (metric["pairs"], metric["clusters"]) == (12, 1)
    assert metric["verdict"] == "cannot tell"


async def test_requests_that_make_no_sense_are_422(service: Service) -> None:
    traces = await store_traces(service.database, service.project_id, 2)
    run = await ended_run(service, traces, lambda _: 0.5)
    other = await ended_run(service, traces, lambda _: 0.5, metrics=["confidence"])
    async with service.database.write() as db:
        open_run = await run_rows.create(db, new_run(service.project_id))
    sessions = await ended_run(
        service,
        ["s1"],
        lambda _: 0.5,
        metrics=["agent_reliability"],
        target_type=TargetType.SESSION,
    )
    for body, says in (
        ({"candidate": str(other.id)}, "no metric in common"),
        ({"candidate": str(open_run.id)}, "has not ended"),
        ({"candidate": str(sessions.id)}, "runs of one kind"),
        ({"candidate": str(run.id), "metrics": ["confidence"]}, "Not a metric of both"),
        ({"candidate": str(run.id), "pair_by": "colour"}, "pair_by must be"),
        ({"candidate": str(run.id), "margin": -1}, "greater than or equal"),
        ({"candidate": str(run.id), "aplha": 0.1}, "does not exist"),
    ):
        answer = await service.client.post(PATH, json={"baseline": str(run.id), **body})
        assert answer.status_code == 422, body
        assert says in answer.text
    answer = await service.client.post(
        PATH, json={"baseline": str(run.id), "candidate": str(uuid4())}
    )
    assert answer.status_code == 404


async def test_comparisons_are_listed_downloaded_and_deleted(service: Service) -> None:
    traces = await store_traces(service.database, service.project_id, 9)
    first, second = [await ended_run(service, traces, always(v)) for v in (0.9, 0.2)]
    found = await compare(service, first, second)
    listed = (await service.client.get(PATH)).json()
    assert (listed["total"], listed["items"][0]["id"]) == (1, found["id"])
    page = (await service.client.get(f"{PATH}/{found['id']}.md")).text
    assert "| `task_completion` | ▼ worse | 9 |" in page
    assert "from pass to fail" in page
    download = await service.client.get(f"{PATH}/{found['id']}.json")
    assert download.json()["id"] == found["id"]
    assert "attachment" in download.headers["content-disposition"]
    assert (await service.client.delete(f"{PATH}/{found['id']}")).status_code == 204
    assert (await service.client.get(f"{PATH}/{found['id']}")).status_code == 404


async def test_a_comparison_outlives_its_runs(service: Service) -> None:
    traces = await store_traces(service.database, service.project_id, 6)
    runs = [await ended_run(service, traces, lambda _: 0.5) for _ in range(2)]
    found = await compare(service, *runs)
    async with service.database.write() as db:
        await run_rows.remove(db, service.project_id, runs[0].id, delete_scores=True)
    assert (await service.client.get(f"{PATH}/{found['id']}")).json() == found


async def test_blame_that_moved_is_counted_by_step_and_by_kind(service: Service) -> None:
    traces = await store_traces(service.database, service.project_id, 10)

    def findings(number: int, *, refunds: int) -> list[dict[str, Any]]:
        against = {"kind": "breach", "verdict": "harm", "text": "x", "tool": "refund_order"}
        met = {"kind": "wish", "verdict": "met", "text": "y", "tool": "find_order"}
        # Twice in one score counts once.
        return [met, *([against, against] if number < refunds else [])]

    first = await ended_run(service, traces, always(0.5), findings=lambda n: findings(n, refunds=1))
    second = await ended_run(
        service, traces, always(0.5), findings=lambda n: findings(n, refunds=4)
    )
    found = await compare(service, first, second)
    blame = found["metrics"][0]["blame"]
    moved = {
        "baseline": 1,
        "candidate": 4,
        "baseline_rate": 0.1,
        "candidate_rate": 0.4,
        "difference": 0.3,
    }
    assert blame == {
        "baseline_scores": 10,
        "candidate_scores": 10,
        "complete": True,
        "steps": [{"name": "refund_order", **moved}],
        "kinds": [{"name": "breach: harm", **moved}],
    }
    page = (await service.client.get(f"{PATH}/{found['id']}.md")).text
    assert "| `refund_order` | 1 (10.0%) | 4 (40.0%) |" in page


async def test_too_many_pairs_for_a_request_are_left_to_a_worker(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = await store_traces(service.database, service.project_id, 12)
    runs = [await ended_run(service, traces, lambda n: n / 12) for _ in range(2)]
    at_once = await compare(service, *runs)
    monkeypatch.setattr(comparing, "MAX_AT_ONCE", 11)
    pending = await compare(service, *runs)
    assert (pending["status"], pending["metrics"]) == ("PENDING", [])
    assert [str(one) for one in service.comparisons.started] == [pending["id"]]
    listed = (await service.client.get(PATH)).json()
    assert [one["status"] for one in listed["items"]] == ["PENDING", "COMPLETED"]
    assert "being compared" in (await service.client.get(f"{PATH}/{pending['id']}.md")).text

    monkeypatch.setattr(partitions, "SCORES_PER_PART", 5)
    await ActivityEnvironment().run(
        Comparisons(service.database).compare, service.project_id, UUID(pending["id"])
    )
    stored = (await service.client.get(f"{PATH}/{pending['id']}")).json()
    assert stored["status"] == "COMPLETED"
    [expected] = at_once["metrics"]
    # The sums may differ slightly, because the parts are added in another order.
    means = {name: pytest.approx(expected[name]) for name in ("baseline_mean", "candidate_mean")}
    assert stored["metrics"] == [expected | means]


async def runs_too_large_to_compare_at_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> list[EvalRun]:
    traces = await store_traces(service.database, service.project_id, 3)
    monkeypatch.setattr(comparing, "MAX_AT_ONCE", 1)
    return [await ended_run(service, traces, always(0.5)) for _ in range(2)]


async def test_a_comparison_that_temporal_cannot_take_leaves_nothing_behind(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = sqlite_service
    runs = await runs_too_large_to_compare_at_once(service, monkeypatch)
    service.comparisons.reachable = False
    body = {"baseline": str(runs[0].id), "candidate": str(runs[1].id)}
    assert (await service.client.post(PATH, json=body)).status_code == 503
    assert (await service.client.get(PATH)).json()["total"] == 0


async def test_a_start_that_was_lost_is_made_again_by_a_read(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = sqlite_service
    runs = await runs_too_large_to_compare_at_once(service, monkeypatch)
    pending = await compare(service, *runs)
    service.comparisons.started.clear()
    monkeypatch.setattr(comparing, "START_AGAIN_SECONDS", -1)
    await service.client.get(f"{PATH}/{pending['id']}")
    assert [str(one) for one in service.comparisons.started] == [pending["id"]]


async def test_a_comparison_whose_run_is_gone_says_why_it_failed(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = sqlite_service
    runs = await runs_too_large_to_compare_at_once(service, monkeypatch)
    pending = await compare(service, *runs)
    async with service.database.write() as db:
        await run_rows.remove(db, service.project_id, runs[0].id, delete_scores=True)
    compared = Comparisons(service.database).compare
    await ActivityEnvironment().run(compared, service.project_id, UUID(pending["id"]))
    found = (await service.client.get(f"{PATH}/{pending['id']}")).json()
    assert found["status"] == "FAILED"
    assert str(runs[0].id) in found["error_message"]
