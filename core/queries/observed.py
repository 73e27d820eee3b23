"""Traces made from spans: what more spans change of one."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from core.database import Writer
from core.heads import PARENT_IS_REMOTE, Point, head_of
from core.ids import ProjectId
from core.ingestion import ObservedTrace
from core.tables import metadata

_SPAN: Final = metadata.tables["span"]
_POINT: Final = [
    *(_SPAN.c[name] for name in Point._fields if not name.startswith("has_")),
    _SPAN.c.input.is_not(None).label("has_input"),
    _SPAN.c.output.is_not(None).label("has_output"),
]
_LABELS: Final = ("session_id", "user_id", "environment", "release")

Values = dict[str, Any]


async def changes(
    db: Writer, key: tuple[ProjectId, UUID], held: Values, body: ObservedTrace
) -> Values:
    """The columns of a locked trace that follow from the body, whose spans are written.

    The head counts where it came from spans before; one that a client wrote stays. So do labels
    and metadata, but for what the root says of a trace nobody else has described.
    """
    speaks = held["from_spans"] and body.has_root
    sent = {name: getattr(body, name) for name in _LABELS}
    changed: Values = {
        name: value
        for name, value in sent.items()
        if value is not None and (speaks or held[name] is None)
    }
    first, last = (held["metadata"], body.metadata) if speaks else (body.metadata, held["metadata"])
    changed["metadata"] = first | last
    if held["from_spans"]:
        changed |= await _head(db, key)
    return changed


async def _head(db: Writer, key: tuple[ProjectId, UUID]) -> Values:
    here = (_SPAN.c.project_id == key[0], _SPAN.c.trace_id == key[1])
    found = await db.execute(select(*_POINT).where(*here))
    head = head_of(Point(**row._mapping) for row in found)
    ids = {head.top.id, head.input_from, head.output_from} - {None}
    content = await db.execute(
        select(_SPAN.c.id, _SPAN.c.input, _SPAN.c.output, _SPAN.c.metadata).where(
            *here, _SPAN.c.id.in_(ids)
        )
    )
    rows = {row.id: row for row in content}
    return {
        "name": head.top.name,
        "status": head.status(parent_is_remote=PARENT_IS_REMOTE in rows[head.top.id].metadata),
        "input": rows[head.input_from].input if head.input_from else None,
        "output": rows[head.output_from].output if head.output_from else None,
        "started_at": head.started_at,
        "ended_at": head.ended_at,
    }
