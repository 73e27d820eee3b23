"""Findings of a run, and the names of the steps that they cite."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from core.db.database import Reader
from core.db.tables import EvalRun, Score, Span
from core.ids import ProjectId, ScoreStatus, SpanKind
from core.queries import run_pairs

_SCORES_PER_READ: Final = 100
"""Scores per read. A read takes a few milliseconds, which block the process."""
_IDS_PER_STATEMENT: Final = 5000


@dataclass(frozen=True, slots=True)
class FoundIn:
    """A score with findings, which are entries of its stored metadata."""

    score_id: UUID
    metric: str
    target_id: str
    findings: Sequence[dict[str, Any]]


async def of_run(
    db: Reader, project_id: ProjectId, run: EvalRun, *, metric: str | None, most: int
) -> AsyncIterator[list[FoundIn]]:
    """Scores with findings, read in pages; at most `most` scores in total."""
    where = [*run_pairs.of_run(project_id, run), col(Score.status) == ScoreStatus.SUCCESS]
    if metric is not None:
        where.append(col(Score.name) == metric)
    after: str = ""
    read = 0
    while read < most:
        rows = (
            await db.execute(
                select(
                    *(col(one) for one in (Score.id, Score.name, Score.target_id)),
                    col(Score.meta).label("meta"),
                )
                .where(*where, col(Score.target_id) > after)
                .order_by(col(Score.target_id), col(Score.name))
                .limit(_SCORES_PER_READ)
            )
        ).all()
        if not rows:
            return
        last = rows[-1].target_id
        full = len(rows) == _SCORES_PER_READ
        # Further scores of the last target may follow in the next read, so that read starts with
        # this target.
        kept = [row for row in rows if row.target_id != last] if full else rows
        kept = kept or rows
        after = kept[-1].target_id
        read += len(kept)
        yield [
            FoundIn(row.id, row.name, row.target_id, row.meta.get("findings") or ()) for row in kept
        ]
        if not full:
            return


@dataclass(frozen=True, slots=True)
class StepName:
    """The name and kind of a span."""

    kind: SpanKind
    name: str


async def names_of_spans(
    db: Reader, project_id: ProjectId, spans: Iterable[tuple[UUID, UUID]]
) -> dict[UUID, StepName]:
    """By span id. `spans` are pairs of trace id and span id."""
    wanted = sorted(set(spans))
    names: dict[UUID, StepName] = {}
    for start in range(0, len(wanted), _IDS_PER_STATEMENT):
        some = wanted[start : start + _IDS_PER_STATEMENT]
        rows = await db.execute(
            select(col(Span.id), col(Span.kind), col(Span.name)).where(
                col(Span.project_id) == project_id,
                col(Span.trace_id).in_({trace for trace, _ in some}),
                col(Span.id).in_([span for _, span in some]),
            )
        )
        names |= {row.id: StepName(SpanKind(row.kind), row.name) for row in rows}
    return names
