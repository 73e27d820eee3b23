"""An ended run keeps its figures, and loses them when a score changes."""

from uuid import UUID

from api.runs import figures
from core.db.paging import Page
from core.ids import TargetType
from core.queries import run_rows, score_annotations, score_listing, trace_edits
from core.queries.score_listing import ScoreChoice
from tests.api.conftest import Service
from tests.api.dashboard.conftest import store_run


async def means(service: Service, run_id: UUID) -> dict[str, tuple[int, int, float | None]]:
    """By metric: the number of scores, the number below the threshold, and the mean, as pages read
    them.
    """
    async with service.database.read() as db:
        run = await run_rows.get(db, service.project_id, run_id)
    found = await figures.of_run(service.app.state.stack, service.project_id, run)
    return {one.name: (one.scored, one.below, one.sums.mean) for one in found}


async def is_kept(service: Service, run_id: UUID) -> bool:
    async with service.database.read() as db:
        run = await run_rows.get(db, service.project_id, run_id)
        return run.figures is not None


async def test_figures_are_kept_until_a_score_changes(service: Service) -> None:
    traces = [await service.post_trace() for _ in range(3)]
    run_id = await store_run(
        service,
        [(trace, "task_completion", n) for trace, n in zip(traces, (0.25, 0.5, 1.0), strict=True)],
    )
    assert await means(service, run_id) == {"task_completion": (3, 1, 1.75 / 3)}
    assert await is_kept(service, run_id)
    assert await means(service, run_id) == {"task_completion": (3, 1, 1.75 / 3)}

    project = service.project_id
    async with service.database.write() as db:
        choice = ScoreChoice(run_id=run_id, target_id=traces[0])
        [score], _ = await score_listing.page(db, project, choice, Page())
        await score_annotations.change(db, project, TargetType.TRACE, score.id, {"value": "0.75"})
    assert not await is_kept(service, run_id)
    assert await means(service, run_id) == {"task_completion": (3, 0, 0.75)}

    async with service.database.write() as db:
        await score_annotations.remove(db, project, TargetType.TRACE, score.id)
    assert await means(service, run_id) == {"task_completion": (2, 0, 0.75)}

    async with service.database.write() as db:
        await trace_edits.remove(db, project, [UUID(traces[2])])
    assert await means(service, run_id) == {"task_completion": (1, 0, 0.5)}


async def test_what_was_counted_before_a_change_is_not_kept(service: Service) -> None:
    trace_id = await service.post_trace()
    run_id = await store_run(service, [(trace_id, "task_completion", 0.25)])
    async with service.database.read() as db:
        before = await run_rows.get(db, service.project_id, run_id)
    async with service.database.write() as db:
        await trace_edits.remove(db, service.project_id, [UUID(trace_id)])
    await figures.of_run(service.app.state.stack, service.project_id, before)
    assert not await is_kept(service, run_id)
