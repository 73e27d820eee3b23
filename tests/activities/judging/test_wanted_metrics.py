"""Which metrics of a trace share one call."""

from typing import Any

from sqlalchemy import insert

from activities.judging.pair import Pair
from activities.judging.wanted_metrics import WantedMetrics
from core.db.database import Database
from core.db.tables import EvalRunTarget
from core.ids import ProjectId
from core.queries import run_rows
from tests.factories import new_run

METRICS = ["coherence", "task_completion", "tool_correctness"]


async def together(database: Database, project_id: ProjectId, **options: Any) -> list[list[str]]:
    new = new_run(project_id, **({"metric_names": METRICS} | options))
    async with database.write() as db:
        row = await run_rows.create(db, new)
        targets = [("whole", None), ("part", ["tool_correctness"])]
        await db.execute(
            insert(EvalRunTarget),
            [
                {"run_id": row.id, "seq": seq, "target_id": target, "pair_count": 1,
                 "metrics": metrics}
                for seq, (target, metrics) in enumerate(targets)
            ],
        )  # fmt: skip
    wanted = WantedMetrics(database)
    found = [await wanted.together(Pair(new.spec, target, METRICS[1])) for target, _ in targets]
    return [[metric.name for metric in metrics] for metrics in found]


async def test_all_judged_metrics_of_the_run_unless_the_target_wants_fewer(
    database: Database, project_id: ProjectId
) -> None:
    whole, part = await together(database, project_id)
    assert whole == ["task_completion", "tool_correctness"]
    assert part == ["tool_correctness"]


async def test_none_where_each_metric_is_asked_alone(
    database: Database, project_id: ProjectId
) -> None:
    assert await together(database, project_id, bundle=False) == [[], []]
    assert await together(database, project_id, metric_names=METRICS[1:2]) == [[], []]
