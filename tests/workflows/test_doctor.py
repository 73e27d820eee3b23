"""The checks of `assay doctor` that ask Temporal."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from api.doctor import examination, retention, temporal
from api.doctor.check_result import CheckResult, Level
from core import clock
from core.queries import run_rows, workers
from core.settings import Settings
from core.temporal import client as temporal_client
from core.temporal.retention_schedule import DescribedSweeps, RetentionSchedule
from tests.activities.retention.ages import traces_from
from tests.factories import new_run
from tests.workflows.conftest import Stack


async def register(stack: Stack) -> None:
    async with stack.database.write() as db:
        await workers.publish(
            db,
            worker_id="1@here",
            started_at=clock.now(),
            default_model=stack.judges.default_model,
            providers=stack.judges.providers(),
        )


async def test_a_temporal_with_its_workers_is_fine_in_every_respect(stack: Stack) -> None:
    settings = Settings(task_queue=stack.task_queue)
    await register(stack)
    async with stack.worker():
        found = await examination.examine_temporal(settings, stack.client, stack.database)
    assert {result.level for result in found} == {Level.FINE}, found
    assert [result.check for result in found] == [
        *("Temporal", "namespace", "search attributes", "clock of Temporal"),
        *("owner of the runs", "task queues", "worker versions", "retention"),
    ]


async def test_queues_that_no_worker_polls_are_named(stack: Stack) -> None:
    await register(stack)
    [found] = await temporal.queues(stack.client, stack.database, stack.task_queue)
    assert found.level is Level.PROBLEM
    queue = stack.task_queue
    names = f"{queue}, {queue}-judge, {queue}-judge-scripted"
    assert found.sentence == f"No worker polls {names}."


async def test_a_namespace_that_does_not_exist_is_named(stack: Stack) -> None:
    address = stack.client.service_client.config.target_host
    elsewhere = await Client.connect(address, namespace="nowhere", lazy=True)
    found = await examination.examine_temporal(Settings(), elsewhere, None)
    assert [result.level for result in found] == [Level.FINE, Level.PROBLEM]
    assert found[1].sentence == "Temporal has no namespace 'nowhere'."
    assert "TEMPORAL_NAMESPACE" in found[1].remedy


async def test_a_temporal_that_is_away_is_one_problem() -> None:
    away = await Client.connect("127.0.0.1:1", lazy=True)
    [found] = await examination.examine_temporal(Settings(), away, None)
    assert (found.check, found.level) == ("Temporal", Level.PROBLEM)
    assert found.remedy


async def test_missing_search_attributes_are_named_with_the_command(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = (*temporal_client.SEARCH_ATTRIBUTES, SearchAttributeKey.for_keyword("AssayNew"))
    monkeypatch.setattr(temporal_client, "SEARCH_ATTRIBUTES", wanted)
    found = await temporal.attributes(stack.client, registers=True)
    assert found.level is Level.PROBLEM
    assert found.sentence == "Temporal lacks the search attributes AssayNew."
    command = "search-attribute create --name AssayNew --type Keyword --namespace default"
    assert command in found.remedy


@pytest.mark.parametrize(("registers", "level"), [(False, Level.FINE), (True, Level.PROBLEM)])
async def test_a_service_that_lists_no_attributes_is_a_problem_only_if_they_are_registered(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, registers: bool, level: Level
) -> None:
    """A worker without registering starts there, as in Temporal Cloud."""
    denied = RPCError("not allowed", RPCStatusCode.PERMISSION_DENIED, b"")
    listing = AsyncMock(side_effect=denied)
    monkeypatch.setattr(stack.client.operator_service, "list_search_attributes", listing)
    settings = Settings(temporal_register=registers)
    results = await examination.examine_temporal(settings, stack.client, None)
    [found] = [result for result in results if result.check == temporal.ATTRIBUTES]
    assert found.level is level
    assert ("ASSAY_TEMPORAL_REGISTER=false" in found.remedy) is registers


async def test_a_short_retention_is_a_warning(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporal, "MIN_RETENTION", timedelta(days=10_000))
    found = await temporal.namespace(stack.client)
    assert found.level is Level.WARNING
    assert "temporal operator namespace update --retention 3d --namespace default" in found.remedy


async def test_a_schedule_of_retention_that_deletes_nothing_is_named(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(task_queue=stack.task_queue, retention_traces_days=30)
    schedule = RetentionSchedule(stack.client, task_queue=stack.task_queue)

    async def found() -> CheckResult:
        result = await retention.schedule(stack.client, stack.database, settings)
        assert isinstance(result, CheckResult)
        return result

    missing = await found()
    # As in the first minute after the setting.
    assert (missing.level, f"no schedule {schedule.id}" in missing.sentence) == (
        Level.WARNING,
        True,
    )
    await schedule.put()
    try:
        assert (await found()).level is Level.FINE
        arrived = clock.now() - timedelta(days=33, hours=1)
        await traces_from(stack.database, stack.project_id, 1, arrived)
        late = await found()
        assert (late.level, late.sentence) == (
            Level.WARNING,
            "The oldest of the traces should have been deleted 3 days ago.",
        )
        await schedule.remove()
        assert (await found()).level is Level.PROBLEM
        await schedule.put()
        handle = stack.client.get_schedule_handle(schedule.id)
        await handle.pause()
        paused = await found()
        assert (paused.level, "--unpause" in paused.remedy) == (Level.WARNING, True)
        failed = DescribedSweeps(paused=False, last_failed=True)
        monkeypatch.setattr(RetentionSchedule, "described", AsyncMock(return_value=failed))
        assert "failed" in (await found()).sentence
    finally:
        await schedule.remove()


async def test_runs_of_another_temporal_are_counted(stack: Stack) -> None:
    async with stack.database.write() as db:
        row = await run_rows.create(db, new_run(stack.project_id))
        row.admitted_at, row.temporal_namespace = clock.now(), "lost (1)"
    found = await temporal.owner(stack.client, stack.database)
    assert found.level is Level.PROBLEM
    assert "1 unfinished run of the Temporal namespace lost (1) do not belong to" in found.sentence
    assert "ASSAY_ADOPT_RUNS=true" in found.remedy


@pytest.mark.parametrize(
    ("current", "level", "words"),
    [
        ("v2", Level.FINE, "Runs go to version v2, which workers serve."),
        ("v1", Level.PROBLEM, "Runs go to version v1, which no worker serves"),
        ("", Level.PROBLEM, "No version is current, so no run begins; workers serve v2."),
    ],
)
async def test_a_version_without_workers_is_a_problem(
    current: str, level: Level, words: str
) -> None:
    class Service:
        async def describe_worker_deployment(self, _: object) -> Any:
            version = SimpleNamespace(build_id=current)
            routing = SimpleNamespace(current_deployment_version=version)
            info = SimpleNamespace(routing_config=routing)
            return SimpleNamespace(worker_deployment_info=info)

    poller = PollerInfo()
    poller.deployment_options.build_id = "v2"
    client = cast(Client, SimpleNamespace(namespace="n", workflow_service=Service()))
    found = await temporal._versions(client, "assay", [poller])
    assert found.level is level
    assert words in found.sentence


async def test_an_error_while_checking_is_a_finding_without_its_words() -> None:
    async def breaks() -> None:
        raise OSError("my secret")

    [found] = await examination._checked("thing", breaks())
    assert (found.check, found.level) == ("thing", Level.PROBLEM)
    assert "my secret" not in found.text
