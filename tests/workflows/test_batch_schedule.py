"""A run knows the state of its batches, in whatever order their reports arrive."""

from dataclasses import replace
from types import SimpleNamespace
from uuid import uuid4

import pytest
from temporalio import workflow

from core.ids import ProjectId, TargetType
from core.run_spec import RunSpec
from workflows.batch_schedule import BatchSchedule
from workflows.inputs import BatchProgress, Cursor, EvalRunInput
from workflows.policies import Limits

LIMITS = Limits(batches_open=2, pairs_per_batch=50, min_pairs_per_batch=50)


@pytest.fixture
def schedule(monkeypatch: pytest.MonkeyPatch) -> BatchSchedule:
    """Of 20 batches, of which the first two are open."""
    info = SimpleNamespace(is_continue_as_new_suggested=lambda: False)
    monkeypatch.setattr(workflow, "info", lambda: info)
    spec = RunSpec(
        run_id=uuid4(),
        project_id=ProjectId(uuid4()),
        target_type=TargetType.TRACE,
        metric_names=["task_completion"],
        model="offline/rules",
    )
    cursor = Cursor(targets=1_000, pairs=1_000)
    made = BatchSchedule(EvalRunInput(spec, LIMITS), cursor)
    numbers = made.to_start()
    assert [next(numbers), next(numbers)] == [0, 1]
    return made


def test_a_report_of_a_batch_from_before_a_reset_changes_nothing(schedule: BatchSchedule) -> None:
    for number in (7, 8, 9):
        schedule.report(BatchProgress(number, evaluated=50))
    assert schedule.evaluated == 0
    assert schedule.open_batches == (0, 1)
    continuation = schedule.continuation
    assert continuation is not None
    assert continuation.next_batch == 2
    schedule.end(BatchProgress(0, evaluated=50))
    assert schedule.has_room()


def test_an_earlier_report_that_arrives_later_takes_nothing_back(schedule: BatchSchedule) -> None:
    later = BatchProgress(0, evaluated=50, failed=3, draining=True)
    schedule.report(later)
    schedule.report(BatchProgress(0, evaluated=20, failed=1))
    assert (schedule.evaluated, schedule.failed) == (50, 3)
    assert schedule.has_room()
    schedule.end(later)
    schedule.report(BatchProgress(0))
    assert (schedule.evaluated, schedule.failed) == (50, 3)


@pytest.mark.parametrize(("resumes", "shown"), [(0, False), (1, True), (None, True)])
def test_a_pause_from_before_the_resume_is_not_shown_after_it(
    schedule: BatchSchedule, resumes: int | None, shown: bool
) -> None:
    paused = BatchProgress(1, paused=True, resumes=0)
    schedule.report(paused)
    assert schedule.paused
    schedule.resume()
    schedule.resumed(1)
    assert not schedule.paused
    schedule.report(replace(paused, resumes=resumes))
    assert schedule.paused is shown
