"""Parts of an ended run's page that read many scores: failures, blame, worst, groups."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel

from api.dashboard import formats, rendering, views
from api.dashboard.access import ProjectViewer
from api.runs import figures
from core.db.database import Reader
from core.ids import TargetType
from core.queries import run_blame, run_breakdown, run_figures, trace_titles
from core.queries.run_breakdown import STEP_RANGES, Dimension, ValueGroup, range_name
from core.queries.trace_titles import TraceTitle
from core.safe_text import PlainText

if TYPE_CHECKING:
    from core.db.tables import EvalRun, Score

_MAX_REASONS: Final = 8
_MAX_WORST: Final = 8
_MAX_BLAMED: Final = 10
_MAX_GROUPS: Final = 12
_KEPT_SECONDS: Final = 300.0
_MIN_MARKED: Final = 5
"""Minimum number of scores for a mark of difference, because a few equal scores have no spread."""


class RunAddress(BaseModel):
    """Parameters of the page: the order of the metrics, the metric whose findings are shown, and
    the dimension.
    """

    sort: PlainText = "mean"
    blame: PlainText = ""
    by: Dimension = Dimension.TAG


class RunPart(StrEnum):
    FAILURES = "failures"
    BLAME = "blame"
    WORST = "worst"
    BY = "by"


@dataclass(frozen=True, slots=True)
class WorstRow:
    target_id: str
    title: str
    opening: str
    cells: dict[str, tuple[views.Cell, UUID]]
    says: str


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group of traces. `tones` mark the means whose interval excludes the run's mean."""

    name: str
    parameter: str
    targets: int
    means: dict[str, tuple[str, str]]


Context = dict[str, Any]


async def in_time(
    request: Request, viewer: ProjectViewer, row: "EvalRun", parameters: RunAddress
) -> tuple[Context, set[str]]:
    """The values of the parts that are ready in time, and the names of the other parts."""
    parts = list(RunPart) if row.target_type is TargetType.TRACE else [RunPart.FAILURES]
    ready = await asyncio.gather(
        *(
            rendering.part(
                request,
                viewer,
                _key(row, parameters, part),
                _work(viewer, row, parameters, part),
                _KEPT_SECONDS,
            )
            for part in parts
        )
    )
    context: Context = {}
    for one in ready:
        context |= one or {}
    return context, {part.value for part, one in zip(parts, ready, strict=True) if one is None}


async def whole(
    viewer: ProjectViewer, row: "EvalRun", parameters: RunAddress, part: RunPart
) -> Context:
    return await viewer.stack.slow_parts.whole(
        _key(row, parameters, part), _work(viewer, row, parameters, part), _KEPT_SECONDS
    )


def _key(row: "EvalRun", parameters: RunAddress, part: RunPart) -> tuple[object, ...]:
    """The key of a part. It contains the revision of the run's scores."""
    choice = {RunPart.BLAME: parameters.blame, RunPart.BY: parameters.by.value}.get(part, "")
    return ("run", row.id, row.figures_revision, part.value, choice)


def _work(
    viewer: ProjectViewer, row: "EvalRun", parameters: RunAddress, part: RunPart
) -> Callable[[], Coroutine[Any, Any, Context]]:
    async def work() -> Context:
        async with viewer.stack.database.read() as db:
            match part:
                case RunPart.FAILURES:
                    return await _failures(db, viewer, row)
                case RunPart.BLAME:
                    return await _blamed(db, viewer, row, parameters)
                case RunPart.WORST:
                    return {"worst": await _worst(db, viewer, row)}
                case RunPart.BY:
                    return await _groups(db, viewer, row, parameters)

    return work


async def _failures(db: Reader, viewer: ProjectViewer, row: "EvalRun") -> Context:
    found = await run_figures.failures(db, viewer.project.id, row, limit=_MAX_REASONS)
    return {"failures": found}


async def _blamed(
    db: Reader, viewer: ProjectViewer, row: "EvalRun", parameters: RunAddress
) -> Context:
    found = await run_blame.of_run(db, viewer.project.id, row, parameters.blame or None)
    return {
        "blame": found,
        "blamed": found.ranked[:_MAX_BLAMED],
        "other_blamed": max(0, len(found.ranked) - _MAX_BLAMED),
    }


async def _worst(db: Reader, viewer: ProjectViewer, row: "EvalRun") -> list[WorstRow]:
    project = viewer.project.id
    found = await run_figures.worst_targets(db, project, row, limit=_MAX_WORST)
    ids = [one.target_id for one in found]
    scores = await run_figures.of_targets(db, project, row, ids)
    titles = await trace_titles.of_traces(db, project, [UUID(trace_id) for trace_id in ids])
    return [
        _worst_row(trace_id, scores[trace_id], titles.get(UUID(trace_id), views.GONE))
        for trace_id in ids
    ]


def _worst_row(target_id: str, scores: "list[Score]", title: TraceTitle) -> WorstRow:
    numbered = [score for score in scores if score.number is not None]
    worst = min(numbered, key=lambda score: score.number or 0.0)
    says = formats.first_line(worst.reason or "", 200)
    return WorstRow(target_id, title.name, title.opening, views.score_cells(scores), says)


async def _groups(
    db: Reader, viewer: ProjectViewer, row: "EvalRun", parameters: RunAddress
) -> Context:
    project = viewer.project.id
    of_run = await figures.of_run(viewer.stack, project, row)
    means = {one.name: one.sums.mean for one in of_run}
    groups = await run_breakdown.by(db, project, row, parameters.by, limit=_MAX_GROUPS)
    return {
        "groups": [_group_row(group, parameters.by, means) for group in groups],
        "most": max((group.targets for group in groups), default=1),
    }


def _group_row(group: ValueGroup, by: Dimension, means: dict[str, float | None]) -> GroupRow:
    shown: dict[str, tuple[str, str]] = {}
    for name, sums in group.sums.items():
        mean, interval, whole = sums.mean, sums.interval, means.get(name)
        if mean is None:
            continue
        tone = ""
        marked = interval if sums.count >= _MIN_MARKED else None
        if marked and whole is not None and not marked[0] <= whole <= marked[1]:
            tone = "bad" if mean < whole else "ok"
        shown[name] = (formats.score(mean), tone)
    name = group.value or f"no {by.value}"
    return GroupRow(name, _parameter(group.value, by), group.targets, shown)


def _parameter(value: str | None, by: Dimension) -> str:
    """The parameter that selects the group's scores in the address of their list."""
    if not value:
        return f"without={by.value}"
    if by is Dimension.STEPS:
        low, high = next(one for one in STEP_RANGES if range_name(one) == value)
        return f"steps={low}-{high or ''}"
    return urlencode({by.value: value})
