"""Keeps the usage sums of a trace up to date; reads other spans only if calls overlap."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import String, cast, false, func, or_, select, type_coerce

from core.db.database import Writer
from core.db.tables import metadata
from core.ids import ProjectId
from core.usage_rollup import SUMS, UsageStub, UsageSums, roll_up_usage

_SPAN: Final = metadata.tables["span"]
_COST_DECIMALS: Final = 12
_NAMES: Final = UsageSums._fields
# Ids in the driver's form: decoding thousands of them takes longer than reading them, and they are
# only compared here.
_STUB: Final = [
    *(type_coerce(_SPAN.c[name], String) for name in ("id", "parent_span_id")),
    *(_SPAN.c[name] for name in ("kind", *_NAMES)),
    func.coalesce(cast(_SPAN.c.cost, String).like('%"computed":%true%'), false()),
]

Values = dict[str, Any]


def sums_of_new(spans: Mapping[UUID, Values]) -> Values:
    """The sums of a trace that has only these spans."""
    if not _overlaps_within(spans):
        return _columns(_plain(spans.values()), overlaps=False)
    return _columns(
        roll_up_usage(_stub(span_id, span) for span_id, span in spans.items()), overlaps=True
    )


async def sums_after(
    db: Writer,
    key: tuple[ProjectId, UUID],
    stored: Values,
    before: Mapping[UUID, Values],
    after: Mapping[UUID, Values],
) -> Values:
    """The sums of a locked trace after its spans `after` are written; `before` has their stored
    values.
    """
    if (
        stored["usage_overlaps"]
        or _overlaps_within(after)
        or await _overlaps(db, key, stored, after)
    ):
        rows = await db.execute(
            select(*_STUB).where(_SPAN.c.project_id == key[0], _SPAN.c.trace_id == key[1])
        )
        return _columns(roll_up_usage(UsageStub._make(row) for row in rows), overlaps=True)
    added = _plain(after.values())
    replaced = _plain(before[span_id] for span_id in after.keys() & before.keys())
    sums = (stored[name] + getattr(added, name) - getattr(replaced, name) for name in _NAMES)
    return _columns(UsageSums(*sums), overlaps=False)


def _columns(sums: UsageSums, *, overlaps: bool) -> Values:
    columns: Values = sums._asdict()
    columns["total_cost"] = round(sums.total_cost, _COST_DECIMALS)
    return columns | {"usage_overlaps": overlaps}


def _plain(spans: Iterable[Values]) -> UsageSums:
    total = UsageSums()
    for span in spans:
        total = total.plus(UsageSums(*(span[name] for name in _NAMES)))
    return total


def _states(span: Values) -> bool:
    return bool(span["total_tokens"] > 0 or span["total_cost"] > 0)


def _overlaps_within(spans: Mapping[UUID, Values]) -> bool:
    """Whether one of the spans may state sums, or has a parent among them that reports usage."""
    return any(
        _states(span)
        and (
            span["kind"] in SUMS
            or ((parent := spans.get(span["parent_span_id"])) is not None and _states(parent))
        )
        for span in spans.values()
    )


async def _overlaps(
    db: Writer, key: tuple[ProjectId, UUID], stored: Values, after: Mapping[UUID, Values]
) -> bool:
    """Whether a span and its parent both report usage, and one of the two was stored before."""
    stating = [span_id for span_id, span in after.items() if _states(span)]
    if not stating or stored["span_count"] == 0:
        return False
    parents = {after[span_id]["parent_span_id"] for span_id in stating} - {None} - after.keys()
    rows = await db.execute(
        select(_SPAN.c.id)
        .where(
            _SPAN.c.project_id == key[0],
            _SPAN.c.trace_id == key[1],
            _SPAN.c.total_tokens > 0,
            or_(_SPAN.c.parent_span_id.in_(stating), _SPAN.c.id.in_(parents)),
        )
        .limit(1)
    )
    return rows.first() is not None


def _stub(span_id: UUID, span: Values) -> UsageStub:
    cost = span["cost"]
    return UsageStub(
        id=span_id,
        parent_span_id=span["parent_span_id"],
        kind=span["kind"],
        total_tokens=span["total_tokens"],
        prompt_tokens=span["prompt_tokens"],
        completion_tokens=span["completion_tokens"],
        total_cost=span["total_cost"],
        cost_is_computed=isinstance(cost, dict) and cost.get("computed") is True,
    )
