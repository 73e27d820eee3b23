"""Changing and deleting traces that are there."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select, update

from core import clock, ingestion
from core.database import Writer
from core.errors import NotFound
from core.ids import ProjectId, TargetType
from core.ingestion import SpanBody, SpanChanges, TraceChanges
from core.queries.ingestion import (
    add_tags,
    change,
    counted,
    lock,
    put_spans,
    spans_by_id,
    tag_rows,
    write_spans,
)
from core.tables import metadata

_TRACE: Final = metadata.tables["trace"]
_TAG: Final = metadata.tables["trace_tag"]
_SCORE: Final = metadata.tables["score"]

_HEAD: Final = {"name", "status", "input", "output", "ended_at"}


async def change_trace(
    db: Writer, project_id: ProjectId, trace_id: UUID, changes: TraceChanges
) -> None:
    """Raises NotFound."""
    key = (project_id, trace_id)
    held = await _locked(db, project_id, trace_id)
    values = ingestion.sent(changes)
    if values.keys() & _HEAD:
        # From now on the trace is what its client says it is, whatever spans may come.
        values["from_spans"] = False
    tags = values.pop("tags", None)
    if tags is not None:
        of_trace = (_TAG.c.project_id == project_id, _TAG.c.trace_id == trace_id)
        await db.execute(delete(_TAG).where(*of_trace))
        await add_tags(db, tag_rows(key, held["started_at"], tags))
    await change(db, key, held, values)


async def add_spans(
    db: Writer, project_id: ProjectId, trace_id: UUID, bodies: Sequence[SpanBody]
) -> None:
    """Adds spans to a trace, or merges them into those it has. Raises NotFound."""
    held = await _locked(db, project_id, trace_id)
    key = (project_id, trace_id)
    await change(db, key, held, await put_spans(db, key, bodies))


async def change_span(
    db: Writer, project_id: ProjectId, trace_id: UUID, span_id: UUID, changes: SpanChanges
) -> None:
    """Raises NotFound."""
    held = await _locked(db, project_id, trace_id)
    key = (project_id, trace_id)
    span = (await spans_by_id(db, key, [span_id])).get(span_id)
    if span is None:
        raise NotFound("span", span_id)
    changed = counted(span | ingestion.sent(changes))
    await change(db, key, held, await write_spans(db, key, {span_id: changed}))


async def remove(db: Writer, project_id: ProjectId, trace_ids: Sequence[UUID]) -> int:
    """Deletes those the project has, with spans, tags and scores, and says how many."""
    # Locked before anything else, in one order for everybody: no two requests wait for each other.
    ids = list(await _lock_known(db, project_id, trace_ids))
    await db.execute(
        delete(_SCORE).where(
            _SCORE.c.project_id == project_id,
            _SCORE.c.target_type == TargetType.TRACE,
            _SCORE.c.target_id.in_([str(id) for id in ids]),
        )
    )
    # Spans and tags go by their foreign keys.
    await db.execute(delete(_TRACE).where(_TRACE.c.project_id == project_id, _TRACE.c.id.in_(ids)))
    return len(ids)


async def retag(
    db: Writer,
    project_id: ProjectId,
    trace_ids: Sequence[UUID],
    *,
    add: Sequence[str],
    remove: Sequence[str],
) -> int:
    """Adds and removes tags of those traces the project has, and says how many these are."""
    known = await _lock_known(db, project_id, trace_ids)
    ids = list(known)
    if not ids or not (add or remove):
        return len(ids)
    await db.execute(
        delete(_TAG).where(
            _TAG.c.project_id == project_id, _TAG.c.trace_id.in_(ids), _TAG.c.tag.in_(set(remove))
        )
    )
    rows = [tag_rows((project_id, id), started_at, add) for id, started_at in known.items()]
    await add_tags(db, [row for of_trace in rows for row in of_trace])
    await db.execute(
        update(_TRACE)
        .where(_TRACE.c.project_id == project_id, _TRACE.c.id.in_(ids))
        .values(updated_at=clock.now())
    )
    return len(ids)


async def _lock_known(
    db: Writer, project_id: ProjectId, trace_ids: Sequence[UUID]
) -> dict[UUID, datetime]:
    """Those the project has, each with when it started."""
    found = await db.execute(
        select(_TRACE.c.id, _TRACE.c.started_at)
        .where(_TRACE.c.project_id == project_id, _TRACE.c.id.in_(set(trace_ids)))
        .order_by(_TRACE.c.id)
        .with_for_update()
    )
    return {row.id: row.started_at for row in found}


async def _locked(db: Writer, project_id: ProjectId, trace_id: UUID) -> dict[str, Any]:
    held = await lock(db, (project_id, trace_id))
    if held is None:
        raise NotFound("trace", trace_id)
    return held
