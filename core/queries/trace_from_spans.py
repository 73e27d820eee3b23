"""Updates the head of a trace that is made from spans when more spans arrive."""

from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, String, func, select, type_coerce

from core import trace_size
from core.db.database import Writer
from core.db.tables import metadata
from core.ids import SpanStatus, TraceStatus
from core.queries.span_writes import Key, SpanChange, Values
from core.trace_input import SpanDerivedTrace
from core.trace_rollup import PARENT_IS_REMOTE, SpanStub, TraceRollup, roll_up

_SPAN: Final = metadata.tables["span"]
_COLUMNS: Final = [name for name in SpanStub._fields if not name.startswith("has_")]
_HAS_CONTENT: Final = [
    _SPAN.c.input.is_not(None).label("has_input"),
    _SPAN.c.output.is_not(None).label("has_output"),
]
_STUB: Final = [*(_SPAN.c[name] for name in _COLUMNS), *_HAS_CONTENT]
# Ids and times in the driver's form: decoding thousands of them takes longer than reading them, and
# they are only compared here.
_RAW_STUB: Final = [*(type_coerce(_SPAN.c[name], String) for name in _COLUMNS), *_HAS_CONTENT]
_LABELS: Final = ("session_id", "user_id", "environment", "release")


async def changes(
    db: Writer, key: Key, stored: Values, body: SpanDerivedTrace, spans: SpanChange
) -> Values:
    """The columns of a locked trace that follow from the body, whose spans are written.

    The head changes only if it came from spans before; a head that a client wrote stays. Labels and
    metadata stay too, except for fields that only the root has stated.
    """
    speaks = stored["from_spans"] and body.has_root
    sent = {name: getattr(body, name) for name in _LABELS}
    changed: Values = {
        name: value
        for name, value in sent.items()
        if value is not None and (speaks or stored[name] is None)
    }
    first, last = (
        (stored["metadata"], body.metadata) if speaks else (body.metadata, stored["metadata"])
    )
    merged = {"metadata": first | last}
    if trace_size.fits(0, stored["size_bytes"] + trace_size.head_bytes(merged)):
        changed |= merged
    if stored["from_spans"]:
        changed |= await _head(db, key, stored, spans)
    return changed


async def _head(db: Writer, key: Key, stored: Values, spans: SpanChange) -> Values:
    grown = await _grown(db, key, stored, spans)
    return await _from_all(db, key) if grown is None else grown


async def _grown(db: Writer, key: Key, stored: Values, spans: SpanChange) -> Values | None:
    """The head after these spans, derived from them and from the spans that the head follows so
    far.

    None if these spans do not suffice: if there is no root, or if an earlier root or a changed span
    may move the head to another span.
    """
    if stored["top_span_id"] is None:
        return None
    ids = {stored[name] for name in ("top_span_id", "input_span_id", "output_span_id")} - {None}
    rows = await db.execute(select(*_STUB).where(*_of(key), _SPAN.c.id.in_(ids)))
    followed = {row.id: SpanStub._make(row) for row in rows}
    top = followed[stored["top_span_id"]]
    after = {span_id: _stub(span_id, span) for span_id, span in spans.after.items()}
    before = {span_id: _stub(span_id, spans.before[span_id]) for span_id in spans.before}
    changed = (
        not _stays_top(before[span_id], after[span_id])
        if span_id == top.id
        else _role(before[span_id]) != _role(after[span_id])
        for span_id in after.keys() & before.keys()
    )
    moved = (s for s in after.values() if s.parent_span_id is None and s.order < top.order)
    if top.parent_span_id is not None or any(changed) or any(moved):
        return None
    head = roll_up((followed | after).values())
    content = {
        name: spans.after[source][name]
        for name, source in (("input", head.input_from), ("output", head.output_from))
        if source is not None and source in spans.after
    }
    return _columns(head, head.status(parent_is_remote=False)) | content


def _stays_top(before: SpanStub, after: SpanStub) -> bool:
    """Whether the root is still the earliest, and still has its own input and output."""
    return (
        before.parent_span_id is None
        and after.order <= before.order
        and after.has_input >= before.has_input
        and after.has_output >= before.has_output
    )


def _role(span: SpanStub) -> SpanStub:
    """The fields of a span below the root from which the head of its trace may be derived."""
    return span._replace(name="", status=SpanStatus.UNSET)


async def _from_all(db: Writer, key: Key) -> Values:
    result = await db.execute(select(*_RAW_STUB).where(*_of(key)))
    raw = roll_up(SpanStub._make(row) for row in result)
    input_from, output_from = (one and _as_uuid(one) for one in (raw.input_from, raw.output_from))
    top_id = _as_uuid(raw.top.id)
    content = (_SPAN.c.input, _SPAN.c.output, _SPAN.c.metadata)
    result = await db.execute(
        select(*_STUB, *content).where(
            *_of(key), _SPAN.c.id.in_({top_id, input_from, output_from} - {None})
        )
    )
    rows = {row.id: row for row in result}
    top = SpanStub._make(rows[top_id][: len(SpanStub._fields)])
    started_at, ended_at = top.started_at, top.ended_at
    if top.parent_span_id is not None:
        bounds = select(func.min(_SPAN.c.started_at), func.max(_SPAN.c.ended_at)).where(*_of(key))
        started_at, ended_at = (await db.execute(bounds)).one()
    head = TraceRollup(top, started_at, ended_at, input_from, output_from)
    status = head.status(parent_is_remote=PARENT_IS_REMOTE in rows[top_id].metadata)
    return _columns(head, status) | {
        "input": rows[input_from].input if input_from else None,
        "output": rows[output_from].output if output_from else None,
    }


def _columns(head: TraceRollup, status: TraceStatus) -> Values:
    return {
        "name": head.top.name,
        "status": status,
        "started_at": head.started_at,
        "ended_at": head.ended_at,
        "top_span_id": head.top.id,
        "input_span_id": head.input_from,
        "output_span_id": head.output_from,
    }


def _stub(span_id: UUID, span: Values) -> SpanStub:
    fields = {name: span[name] for name in _COLUMNS if name != "id"}
    has_input, has_output = span["input"] is not None, span["output"] is not None
    return SpanStub(id=span_id, **fields, has_input=has_input, has_output=has_output)


def _as_uuid(raw: object) -> UUID:
    return raw if isinstance(raw, UUID) else UUID(str(raw))


def _of(key: Key) -> tuple[ColumnElement[bool], ...]:
    return (_SPAN.c.project_id == key[0], _SPAN.c.trace_id == key[1])
