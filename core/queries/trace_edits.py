"""Changing and deleting stored traces."""

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, delete, select, update

from core import clock
from core.db import paging
from core.db.database import Writer
from core.db.tables import metadata
from core.errors import NotFound
from core.ids import ProjectId, TargetType
from core.metadata_merge import merged_metadata
from core.queries import kept_usage, stored_figures
from core.queries.span_writes import (
    SpanChange,
    counted,
    put_spans,
    spans_by_id,
    within_limits,
    write_spans,
)
from core.queries.trace_writes import add_tags, change, lock, tag_rows
from core.trace_input import SpanBody, SpanChanges, TraceChanges

_TRACE: Final = metadata.tables["trace"]
_TAG: Final = metadata.tables["trace_tag"]
_SCORE: Final = metadata.tables["score"]

_HEAD: Final = {"name", "status", "input", "output", "ended_at"}


async def change_trace(
    db: Writer, project_id: ProjectId, trace_id: UUID, changes: TraceChanges
) -> None:
    """Raises NotFound, TooLarge."""
    key = (project_id, trace_id)
    stored = await _locked(db, project_id, trace_id)
    values = changes.sent()
    if "metadata" in values:
        values["metadata"] = merged_metadata(stored["metadata"], values["metadata"])
    if values.keys() & _HEAD:
        # From now on later spans do not change the client's values.
        values["from_spans"] = False
    tags = values.pop("tags", None)
    if tags is not None:
        of_trace = (_TAG.c.project_id == project_id, _TAG.c.trace_id == trace_id)
        await db.execute(delete(_TAG).where(*of_trace))
        await add_tags(db, tag_rows(key, stored["started_at"], tags))
    await change(db, key, stored, values)


async def add_spans(
    db: Writer, project_id: ProjectId, trace_id: UUID, bodies: Sequence[SpanBody]
) -> None:
    """Adds spans to a trace; merges spans that exist. Raises NotFound, TooLarge."""
    stored = await _locked(db, project_id, trace_id)
    key = (project_id, trace_id)
    await change(db, key, stored, await put_spans(db, key, stored, bodies))


async def change_span(
    db: Writer, project_id: ProjectId, trace_id: UUID, span_id: UUID, changes: SpanChanges
) -> Row[Any]:
    """Changes a span and returns it. Raises NotFound, TooLarge."""
    stored = await _locked(db, project_id, trace_id)
    key = (project_id, trace_id)
    found = (await spans_by_id(db, key, [span_id])).get(span_id)
    if found is None:
        raise NotFound("span", span_id)
    before = dict(found._mapping)
    values = changes.sent()
    if "metadata" in values:
        values["metadata"] = merged_metadata(before["metadata"], values["metadata"])
    after = counted(before | values)
    spans = within_limits(stored, SpanChange({span_id: before}, {span_id: after}))
    sums = await write_spans(db, key, stored, spans)
    await change(db, key, stored, sums | {"top_span_id": None})
    return (await spans_by_id(db, key, [span_id]))[span_id]


async def remove(db: Writer, project_id: ProjectId, trace_ids: Sequence[UUID]) -> int:
    """Deletes the existing traces with their spans, tags and scores, and returns their number.

    The scores of a session go with its last trace.
    """
    deleted = 0
    # Locks the traces first, in the order of their ids, so that two deletions never deadlock and no
    # score is added between the two statements.
    for chunk in paging.chunks(sorted(set(trace_ids))):
        known = await _lock_known(db, project_id, chunk)
        ids = list(known)
        await remove_scores(db, project_id, TargetType.TRACE, [str(trace_id) for trace_id in ids])
        # Foreign keys delete the spans and tags.
        await db.execute(
            delete(_TRACE).where(_TRACE.c.project_id == project_id, _TRACE.c.id.in_(ids))
        )
        await _end_sessions(db, project_id, {row.session_id for row in known.values()} - {None})
        deleted += len(ids)
    return deleted


async def _end_sessions(db: Writer, project_id: ProjectId, session_ids: Collection[str]) -> None:
    """Deletes the scores of the sessions that have no trace left."""
    if not session_ids:
        return
    left = await db.scalars(
        select(_TRACE.c.session_id)
        .distinct()
        .where(_TRACE.c.project_id == project_id, _TRACE.c.session_id.in_(session_ids))
    )
    ended = sorted(set(session_ids) - set(left))
    if ended:
        await remove_scores(db, project_id, TargetType.SESSION, ended)


async def remove_scores(
    db: Writer, project_id: ProjectId, target_type: TargetType, target_ids: Sequence[str]
) -> None:
    """Deletes the scores of these targets, which the caller has locked or deletes too.

    Their usage stays.
    """
    scores = (
        _SCORE.c.project_id == project_id,
        _SCORE.c.target_type == target_type,
        _SCORE.c.target_id.in_(target_ids),
    )
    await kept_usage.keep_targets(db, project_id, target_type, target_ids)
    run_ids = await db.scalars(delete(_SCORE).where(*scores).returning(_SCORE.c.eval_run_id))
    await stored_figures.forget(db, run_ids)


async def retag(
    db: Writer,
    project_id: ProjectId,
    trace_ids: Sequence[UUID],
    *,
    add: Sequence[str],
    remove: Sequence[str],
) -> int:
    """Adds and removes tags of the existing traces, and returns their number."""
    known = await _lock_known(db, project_id, trace_ids)
    ids = list(known)
    if not ids or not (add or remove):
        return len(ids)
    await db.execute(
        delete(_TAG).where(
            _TAG.c.project_id == project_id, _TAG.c.trace_id.in_(ids), _TAG.c.tag.in_(set(remove))
        )
    )
    rows = [tag_rows((project_id, one), row.started_at, add) for one, row in known.items()]
    await add_tags(db, [row for of_trace in rows for row in of_trace])
    await db.execute(
        update(_TRACE)
        .where(_TRACE.c.project_id == project_id, _TRACE.c.id.in_(ids))
        .values(updated_at=clock.now())
    )
    return len(ids)


async def _lock_known(
    db: Writer, project_id: ProjectId, trace_ids: Sequence[UUID]
) -> dict[UUID, Row[Any, Any, Any]]:
    """Locks the existing traces, and returns the start and session of each."""
    rows = await db.execute(
        select(_TRACE.c.id, _TRACE.c.started_at, _TRACE.c.session_id)
        .where(_TRACE.c.project_id == project_id, _TRACE.c.id.in_(set(trace_ids)))
        .order_by(_TRACE.c.id)
        .with_for_update()
    )
    return {row.id: row for row in rows}


async def _locked(db: Writer, project_id: ProjectId, trace_id: UUID) -> dict[str, Any]:
    stored = await lock(db, (project_id, trace_id))
    if stored is None:
        raise NotFound("trace", trace_id)
    return stored
