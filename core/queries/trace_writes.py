"""Stores traces: inserts any number of new traces in three statements, and merges known traces."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update

from core import clock, trace_size, usage
from core.content import ContentState, content_state, has_content
from core.db import dialect, paging, sql_functions
from core.db.database import Writer
from core.db.tables import metadata
from core.ids import ProjectId, TargetType, TraceStatus
from core.metadata_merge import merged_metadata
from core.queries import span_usage, trace_from_spans
from core.queries.span_writes import (
    COUNTS,
    SUMS,
    Key,
    SpanChange,
    Values,
    merged_by_id,
    merged_spans,
    scalars,
    sent_values,
    text_counts,
    within_limits,
    write_spans,
)
from core.trace_input import SpanDerivedTrace, TraceBody

_TRACE: Final = metadata.tables["trace"]
_SPAN: Final = metadata.tables["span"]
_TAG: Final = metadata.tables["trace_tag"]
_SCORE: Final = metadata.tables["score"]

_SCALARS: Final = (
    *("name", "status", "input", "output", "started_at", "ended_at"),
    *("session_id", "user_id", "environment", "release"),
)
_ROLLUP: Final = ("top_span_id", "input_span_id", "output_span_id")
_HELD: Final = (
    *("metadata", "from_spans", "status", "started_at", "ended_at", "content"),
    *("session_id", "user_id", "environment", "release", *SUMS, *COUNTS, *_ROLLUP),
)
_TAGS_PER_STATEMENT: Final = 1000


async def store_all(db: Writer, incoming: Sequence[tuple[ProjectId, TraceBody]]) -> list[int]:
    """Adds each trace, or merges it into the project's trace of the same id, in the order given.

    When traces merge, values that are not null replace stored ones, metadata merges shallowly, tags
    unite, and spans merge by id in the same way.

    Returns the number of refused spans per trace. Spans beyond the limits of a trace are refused
    only in a SpanDerivedTrace. Any other body beyond these limits raises TooLarge.
    """
    firsts: dict[Key, TraceBody] = {}
    later: list[tuple[Key, TraceBody]] = []
    for project_id, body in incoming:
        key = (project_id, body.trace_id)
        if firsts.setdefault(key, body) is not body:
            later.append((key, body))
    spans = {key: _new_spans(body) for key, body in firsts.items()}
    added = await _add_traces(db, firsts, {key: change.after for key, change in spans.items()})
    refused = {id(firsts[key]): spans[key].refused for key in added}
    known = [(key, body) for key, body in firsts.items() if key not in added]
    for key, body in known + later:
        refused[id(body)] = await _merge(db, key, body)
    return [refused[id(body)] for _, body in incoming]


def _new_spans(body: TraceBody) -> SpanChange:
    spans = SpanChange({}, merged_by_id({}, body.spans))
    empty = {"span_count": 0, "size_bytes": trace_size.head_bytes(body.__dict__)}
    return within_limits(empty, spans, partial=isinstance(body, SpanDerivedTrace))


async def _add_traces(
    db: Writer, bodies: Mapping[Key, TraceBody], spans: Mapping[Key, Mapping[UUID, Values]]
) -> set[Key]:
    """Inserts the traces that are new, and returns their keys."""
    moment = clock.now()
    rows = [_new_row(key, body, spans[key], moment) for key, body in bodies.items()]
    result = await db.execute(_insert_missing_traces(dialect.insert_missing(db, _TRACE)), rows)
    added = {(ProjectId(row.project_id), row.id) for row in result}
    span_rows = [
        span | {"project_id": project_id, "trace_id": trace_id, "id": span_id}
        for project_id, trace_id in added
        for span_id, span in spans[project_id, trace_id].items()
    ]
    if span_rows:
        await db.execute(dialect.insert(db, _SPAN), span_rows)
    for_tags = [
        row for key in added for row in tag_rows(key, bodies[key].started_at, bodies[key].tags)
    ]
    await add_tags(db, for_tags)
    return added


def _new_row(key: Key, body: TraceBody, spans: Mapping[UUID, Values], moment: datetime) -> Values:
    texts = text_counts({"text_spans": 0, "silent_spans": 0}, spans.values())
    return scalars(body, _SCALARS) | {
        "project_id": key[0],
        "id": key[1],
        "metadata": body.metadata,
        "from_spans": isinstance(body, SpanDerivedTrace),
        "latency_ms": usage.latency_ms(body.started_at, body.ended_at),
        "ingested_at": moment,
        "updated_at": moment,
        "span_count": len(spans),
        "size_bytes": trace_size.head_bytes(body.__dict__)
        + sum(span["size_bytes"] for span in spans.values()),
        "content": content_state(texts, head_speaks=_head_speaks(body.__dict__)),
        **texts,
        **span_usage.sums_of_new(spans),
    }


def _head_speaks(head: Mapping[str, Any]) -> bool:
    return has_content(head.get("input")) or has_content(head.get("output"))


def tag_rows(key: Key, started_at: datetime, tags: Iterable[str]) -> list[Values]:
    """One row per tag of a trace that started at that moment."""
    trace = {"project_id": key[0], "trace_id": key[1], "started_at": started_at}
    return [trace | {"tag": tag} for tag in sorted(set(tags))]


async def add_tags(db: Writer, rows: Sequence[Values]) -> None:
    """Leaves existing rows unchanged."""
    statement = dialect.insert_missing(db, _TAG)
    for chunk in paging.chunks(rows, _TAGS_PER_STATEMENT):
        await db.execute(statement, chunk)


async def _merge(db: Writer, key: Key, body: TraceBody) -> int:
    """Returns the number of refused spans."""
    stored = await lock(db, key)
    # The previous statement found the trace, and this transaction deletes no trace.
    assert stored is not None
    follows_spans = isinstance(body, SpanDerivedTrace)
    spans = await merged_spans(db, key, body.spans)
    spans = within_limits(stored, spans, partial=follows_spans)
    sums = await write_spans(db, key, stored, spans)
    if isinstance(body, SpanDerivedTrace):
        sent = await trace_from_spans.changes(db, key, stored, body, spans)
    else:
        # From now on later spans do not change the client's values.
        sent = sent_values(body, _SCALARS) | {"from_spans": False}
        if body.metadata:
            sent["metadata"] = merged_metadata(stored["metadata"], body.metadata)
    await add_tags(db, tag_rows(key, stored["started_at"], body.tags))
    await change(db, key, stored, sent | sums)
    return spans.refused


async def lock(db: Writer, key: Key) -> Values | None:
    """Locks the trace until the commit, and returns the fields that a change needs.

    None if the project has no such trace.
    """
    columns = [_TRACE.c[name] for name in _HELD]
    rows = await db.execute(select(*columns).where(*_is(key)).with_for_update())
    row = rows.first()
    return None if row is None else dict(row._mapping)


async def change(db: Writer, key: Key, stored: Values, values: Values) -> None:
    """Writes these columns and the columns that follow from them.

    `stored` is the result of `lock`. Raises TooLarge if the client's values exceed the limits.
    """
    values = values | await _size_after(db, key, stored, values) | _arrival(stored, values)
    changed = stored | values
    values["content"] = content_state(changed, head_speaks=_still_speaks(stored, values))
    await db.execute(
        update(_TRACE)
        .where(*_is(key))
        .values(
            **values,
            latency_ms=usage.latency_ms(changed["started_at"], changed["ended_at"]),
            updated_at=clock.now(),
        )
    )
    if changed["started_at"] != stored["started_at"]:
        await db.execute(
            update(_TAG)
            .where(_TAG.c.project_id == key[0], _TAG.c.trace_id == key[1])
            .values(started_at=changed["started_at"])
        )
    if changed["environment"] != stored["environment"]:
        await db.execute(
            update(_SCORE)
            .where(
                _SCORE.c.project_id == key[0],
                _SCORE.c.target_type == TargetType.TRACE,
                _SCORE.c.target_id == str(key[1]),
            )
            .values(environment=changed["environment"])
        )


def _still_speaks(stored: Values, values: Values) -> bool:
    """Whether the input or output of the trace will have text after this write."""
    if "input" in values and "output" in values:
        return _head_speaks(values)
    spoke = stored["content"] != ContentState.NONE and stored["text_spans"] == 0
    return spoke or _head_speaks(values)


def _arrival(stored: Values, values: Values) -> Values:
    """A trace from spans counts as arrived when it is finished, because it is not judged before."""
    finished = values.get("status") in (TraceStatus.COMPLETED, TraceStatus.ERROR)
    late = stored["from_spans"] and stored["status"] == TraceStatus.RUNNING
    return {"ingested_at": clock.now()} if late and finished else {}


async def _size_after(db: Writer, key: Key, stored: Values, values: Values) -> Values:
    """The size of the trace after these values replace content of its head."""
    replaced = [name for name in ("input", "output") if name in values]
    before = trace_size.head_bytes(stored) if "metadata" in values else 0
    if replaced:
        sizes = [func.coalesce(sql_functions.content_bytes(_TRACE.c[name]), 0) for name in replaced]
        row = (await db.execute(select(*sizes).where(*_is(key)))).one()
        before += sum(int(size or 0) for size in row)
    size: int = (stored | values)["size_bytes"]
    after = max(0, size + trace_size.head_bytes(values) - before)
    follows_spans = stored["from_spans"] and values.get("from_spans", True)
    if after > stored["size_bytes"] and not follows_spans and not trace_size.fits(0, after):
        raise trace_size.TOO_LARGE
    return {"size_bytes": after}


def _is(key: Key) -> tuple[Any, ...]:
    return (_TRACE.c.project_id == key[0], _TRACE.c.id == key[1])


@cache
def _insert_missing_traces(insert: dialect.Insert) -> Any:
    return insert.returning(_TRACE.c.project_id, _TRACE.c.id)
