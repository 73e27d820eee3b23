"""Compares runs with too many pairs for one request."""

from uuid import UUID

from temporalio import activity

from activities.comparing import computing
from activities.comparing.plan import ComparisonOptions, plan
from activities.error_translation import translate_errors
from activities.judging.heartbeat import heartbeating
from core.db.database import Database
from core.errors import Invalid, NotFound
from core.ids import ProjectId
from core.queries import comparison_rows


class Comparisons:
    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="compare_runs")
    @translate_errors
    async def compare(self, project_id: UUID, comparison_id: UUID) -> None:
        """Stores the result or the reason of the failure. Idempotent: the first result stays."""
        project = ProjectId(project_id)
        async with heartbeating():
            try:
                async with self._database.write() as db:
                    row = await comparison_rows.begin(db, project, comparison_id)
            except NotFound:
                return  # deleted meanwhile
            if row.status.terminal:
                return
            try:
                async with self._database.read() as db:
                    made = await plan(db, project, ComparisonOptions.of(row))
                result = await computing.result_of(self._database, made)
            except (Invalid, NotFound) as error:
                await self._end(project, comparison_id, error_message=error.message)
            else:
                await self._end(project, comparison_id, result=result)

    async def _end(
        self,
        project: ProjectId,
        comparison_id: UUID,
        *,
        result: dict[str, object] | None = None,
        error_message: str | None = None,
    ) -> None:
        async with self._database.write() as db:
            await comparison_rows.end(
                db, project, comparison_id, result=result, error_message=error_message
            )

    @activity.defn(name="fail_comparison")
    @translate_errors
    async def fail(self, project_id: UUID, comparison_id: UUID, why: str) -> None:
        """Idempotent. No effect if a result is stored."""
        await self._end(ProjectId(project_id), comparison_id, error_message=why)
