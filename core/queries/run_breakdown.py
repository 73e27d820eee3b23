"""Scores of a run, grouped by a property of its traces: tag, environment, release, user, length."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Select, case, func, select
from sqlmodel import col

from core.db import sql_functions
from core.db.database import Reader
from core.db.tables import EvalRun, Score, Trace, TraceTag
from core.ids import ProjectId
from core.queries import run_pairs
from core.queries.number_sums import NumberSums

STEP_RANGES: Final = ((0, 6), (6, 11), (11, 21), (21, 41), (41, None))
"""Ranges of the number of spans: the first number is included, the second is not."""


class Dimension(StrEnum):
    TAG = "tag"
    ENVIRONMENT = "environment"
    RELEASE = "release"
    USER = "user"
    STEPS = "steps"


@dataclass(slots=True)
class ValueGroup:
    """Traces of a run that share a value; `value` is None for traces without a value."""

    value: str | None
    targets: int
    sums: dict[str, NumberSums] = field(default_factory=dict)


async def by(
    db: Reader, project_id: ProjectId, run: EvalRun, dimension: Dimension, *, limit: int
) -> list[ValueGroup]:
    """The largest groups first; groups by number of spans in ascending order.

    For runs over traces only.
    """
    value = _VALUES[dimension]
    rows = await db.execute(
        _joined(project_id, run, dimension)
        .add_columns(
            value.label("group_value"),
            col(Score.name),
            func.count(col(Score.number)).label("times"),
            func.coalesce(func.sum(col(Score.number)), 0.0).label("total"),
            func.coalesce(func.sum(col(Score.number) * col(Score.number)), 0.0).label("squares"),
            func.count(col(Score.target_id).distinct()).label("targets"),
        )
        .group_by("group_value", col(Score.name))
    )
    groups: dict[str | None, ValueGroup] = {}
    for row in rows:
        group = groups.setdefault(row.group_value, ValueGroup(row.group_value, 0))
        group.targets = max(group.targets, row.targets)
        group.sums[row.name] = NumberSums(row.times, row.total, row.squares)
    if dimension is Dimension.STEPS:
        order = {range_name(one): place for place, one in enumerate(STEP_RANGES)}
        return sorted(groups.values(), key=lambda group: order.get(group.value or "", 0))
    ranked = sorted(groups.values(), key=lambda group: (-group.targets, group.value or ""))
    return ranked[:limit]


def range_name(steps: tuple[int, int | None]) -> str:
    """`6 to 10`, `41 or more`."""
    low, high = steps
    return f"{low} or more" if high is None else f"{low} to {high - 1}"


_STEPS: Final = case(
    *(
        (col(Trace.span_count) < high, range_name((low, high)))
        for low, high in STEP_RANGES
        if high is not None
    ),
    else_=range_name(STEP_RANGES[-1]),
)

_VALUES: Final[Mapping[Dimension, Any]] = {
    Dimension.TAG: col(TraceTag.tag),
    Dimension.ENVIRONMENT: col(Score.environment),
    Dimension.RELEASE: col(Trace.release),
    Dimension.USER: col(Trace.user_id),
    Dimension.STEPS: _STEPS,
}


def _joined(project_id: ProjectId, run: EvalRun, dimension: Dimension) -> Select[Any]:
    """Scores of the run, joined with the columns that the dimension needs."""
    trace_id = sql_functions.uuid_of_text(col(Score.target_id))
    query: Select[Any] = select().select_from(Score)
    if dimension is Dimension.TAG:
        query = query.outerjoin(
            TraceTag,
            (col(TraceTag.project_id) == project_id) & (col(TraceTag.trace_id) == trace_id),
        )
    elif dimension is not Dimension.ENVIRONMENT:
        query = query.join(
            Trace, (col(Trace.project_id) == project_id) & (col(Trace.id) == trace_id)
        )
    return query.where(*run_pairs.of_run(project_id, run))
