"""Sessions compared by their newest score, page by page."""

from typing import Any
from uuid import uuid4

import pytest

from core.db.database import Database
from core.db.paging import Page
from core.db.tables import Score
from core.ids import ProjectId, ScoreSource, ScoreStatus, ScoreType, TargetType
from core.queries import score_sessions
from tests.factories import START

METRIC = "agent_reliability"


def a_score(project_id: ProjectId, session_id: str, number: float | None) -> Score:
    return Score(
        id=uuid4(),
        project_id=project_id,
        target_type=TargetType.SESSION,
        target_id=session_id,
        name=METRIC,
        status=ScoreStatus.SUCCESS,
        source=ScoreSource.AUTOMATED,
        data_type=ScoreType.NUMERIC,
        number=number,
        meta={},
        created_at=START,
        updated_at=START,
    )


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
async def test_pages_join_without_gap_or_repeat_also_where_scores_have_no_number(
    database: Database, project_id: ProjectId, limit: int
) -> None:
    numbers: dict[str, float | None] = {"a": 0.5, "b": 0.25} | dict.fromkeys("cdefg")
    async with database.write() as db:
        db.add_all(a_score(project_id, name, number) for name, number in numbers.items())
    seen: list[Any] = []
    for offset in range(0, len(numbers), limit):
        async with database.read() as reader:
            found, total = await score_sessions.comparison(
                reader, project_id, METRIC, Page(limit, offset), descending=False
            )
        assert total == len(numbers)
        seen += [row.target_id for row in found]
    assert seen == ["b", "a", "c", "d", "e", "f", "g"]
