"""The table of the usage of deleted scores."""

from uuid import UUID

from sqlmodel import Field, SQLModel

from core.db.table_columns import sum_column


class UsageDay(SQLModel, table=True):
    """The summed usage of the deleted scores of one day (UTC, such as `2026-11-27`).

    A nil UUID and an empty text stand for an unknown run, monitor or model, because a key has no
    nulls. `unpriced` and `unpriced_repairs` count the scores whose cost is unknown.
    """

    __tablename__ = "usage_day"

    project_id: UUID = Field(primary_key=True, foreign_key="project.id")
    day: str = Field(primary_key=True, max_length=10)
    run_id: UUID = Field(primary_key=True)
    metric: str = Field(primary_key=True, max_length=255)
    model: str = Field(primary_key=True, max_length=255)
    monitor_id: UUID = Field(primary_key=True)
    judge_calls: int = sum_column()
    answers: int = sum_column()
    cached_calls: int = sum_column()
    prompt_tokens: int = sum_column()
    completion_tokens: int = sum_column()
    cost_usd: float = 0.0
    unpriced: int = sum_column()
    repair_calls: int = sum_column()
    repair_cost_usd: float = 0.0
    unpriced_repairs: int = sum_column()
    pairs_judged: int = sum_column()
    pairs_from_cache: int = sum_column()
