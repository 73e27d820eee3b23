"""Writes spans of one trace, merged by id, within the limits of a trace."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select

from core import json_codec, model_prices, token_usage, trace_size
from core.content import has_text, lacks_text
from core.db import dialect
from core.db.database import Writer
from core.db.tables import metadata
from core.ids import ProjectId
from core.metadata_merge import merged_metadata
from core.queries import span_usage
from core.trace_input import LoggedSpan, SpanBody, TraceBody

_SPAN: Final = metadata.tables["span"]

_SPAN_SCALARS: Final = (
    *("parent_span_id", "name", "kind", "status", "input", "output", "model", "token_usage"),
    *("started_at", "ended_at", "error", "completion_start_time", "model_parameters", "cost"),
)
_SPAN_KEY: Final = tuple(_SPAN.primary_key.columns.keys())
_SPAN_COLUMNS: Final = tuple(name for name in _SPAN.columns.keys() if name not in _SPAN_KEY)  # noqa: SIM118 - a column collection
SUMS: Final = ("total_tokens", "prompt_tokens", "completion_tokens", "total_cost")
COUNTS: Final = ("span_count", "size_bytes", "text_spans", "silent_spans", "usage_overlaps")
"""Columns of a trace, besides the sums, that follow from its spans."""

IS_LOGGED: Final = "otel.only_logged"
"""Metadata key that marks a span of which only log records have arrived."""

_SIDES: Final = ("input", "output")

Values = dict[str, Any]
Key = tuple[ProjectId, UUID]


@dataclass(frozen=True, slots=True)
class SpanChange:
    """Spans of one trace to be written; `before` has the stored versions of those that exist."""

    before: Mapping[UUID, Values]
    after: Mapping[UUID, Values]
    refused: int = 0


async def put_spans(db: Writer, key: Key, stored: Values, bodies: Sequence[SpanBody]) -> Values:
    """Merges spans into a locked trace, and returns the columns of the trace that follow from
    them.

    Raises TooLarge.
    """
    spans = within_limits(stored, await merged_spans(db, key, bodies))
    return await write_spans(db, key, stored, spans) | {"top_span_id": None}


async def merged_spans(db: Writer, key: Key, bodies: Sequence[SpanBody]) -> SpanChange:
    if not bodies:
        return SpanChange({}, {})
    found = await spans_by_id(db, key, [body.span_id for body in bodies])
    known = {span_id: dict(row._mapping) for span_id, row in found.items()}
    return SpanChange(known, merged_by_id(known, bodies))


def within_limits(stored: Values, spans: SpanChange, *, partial: bool = False) -> SpanChange:
    """Omits spans beyond the limits of the trace; without `partial`, raises TooLarge instead."""
    count, size = stored["span_count"], stored["size_bytes"]
    kept: dict[UUID, Values] = {}
    for span_id, span in spans.after.items():
        before = spans.before.get(span_id)
        grown = span["size_bytes"] - (before["size_bytes"] if before else 0)
        more = int(before is None)
        if (more or grown > 0) and not trace_size.fits(count + more, size + grown):
            continue
        count, size = count + more, size + grown
        kept[span_id] = span
    refused = len(spans.after) - len(kept)
    if refused and not partial:
        raise trace_size.TOO_LARGE
    return SpanChange(spans.before, kept, refused)


async def write_spans(db: Writer, key: Key, stored: Values, spans: SpanChange) -> Values:
    """Writes spans of a locked trace, and returns the sums of the trace. No other span is read."""
    if not spans.after:
        return {}
    rows = [
        span | {"project_id": key[0], "trace_id": key[1], "id": span_id}
        for span_id, span in spans.after.items()
    ]
    statement = dialect.upsert(db, _SPAN, key=_SPAN_KEY, update=_SPAN_COLUMNS)
    await db.execute(statement, rows)
    replaced = [spans.before[span_id] for span_id in spans.after.keys() & spans.before.keys()]
    grown = sum(span["size_bytes"] for span in spans.after.values())
    shrunk = sum(span["size_bytes"] for span in replaced)
    counts = {"size_bytes": stored["size_bytes"] + grown - shrunk}
    counts |= text_counts(stored, spans.after.values(), replaced)
    counts["span_count"] = stored["span_count"] + len(spans.after) - len(replaced)
    return counts | await span_usage.sums_after(db, key, stored, spans.before, spans.after)


async def spans_by_id(db: Writer, key: Key, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """The stored spans with these ids."""
    rows = await db.execute(select(*_SPAN.columns).where(*_of_trace(key), _SPAN.c.id.in_(set(ids))))
    return {row.id: row for row in rows}


def counted(span: Values) -> Values:
    """The span with its computed cost, and with the numbers that follow from usage and content."""
    usage = token_usage.tokens(span["token_usage"])
    cost = span["cost"]
    if span["model"] and usage.total and (not cost or cost.get("computed") is True):
        cost = model_prices.computed_cost(span["model"], usage)
    priced = span | {"cost": cost}
    return priced | {
        "total_tokens": usage.total,
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_cost": token_usage.dollars(cost),
        "size_bytes": trace_size.span_bytes(priced),
    }


def text_counts(stored: Values, added: Iterable[Values], removed: Iterable[Values] = ()) -> Values:
    """The numbers of spans with text, and of spans that should have text and have none."""
    texts, silent = stored["text_spans"], stored["silent_spans"]
    for spans, sign in ((added, 1), (removed, -1)):
        for span in spans:
            texts += sign * has_text(span)
            silent += sign * lacks_text(span)
    return {"text_spans": texts, "silent_spans": silent}


def merged_by_id(known: Mapping[UUID, Values], bodies: Iterable[SpanBody]) -> dict[UUID, Values]:
    """The new spans, each merged into its stored version or into an earlier one of the same
    request.
    """
    merged: dict[UUID, Values] = {}
    for body in bodies:
        before = merged.get(body.span_id) or known.get(body.span_id)
        merged[body.span_id] = counted(_merged(before, body))
    return merged


def _merged(before: Values | None, body: SpanBody) -> Values:
    logged = isinstance(body, LoggedSpan)
    if before is None:
        metadata = body.metadata | {IS_LOGGED: True} if logged else body.metadata
        return scalars(body, _SPAN_SCALARS) | {"metadata": metadata}
    if logged:
        said = {side: with_messages(before[side], getattr(body, side)) for side in _SIDES}
        return before | said
    if before["metadata"].get(IS_LOGGED):
        # The span itself arrived; before, only log records had described it.
        span = scalars(body, _SPAN_SCALARS) | {"metadata": body.metadata}
        return span | {side: before[side] for side in _SIDES if span[side] is None}
    span = before | sent_values(body, _SPAN_SCALARS)
    span["metadata"] = merged_metadata(before["metadata"], body.metadata)
    return span


def with_messages(stored: Any, added: Any) -> Any:
    """Merged messages in order of arrival, without duplicates; other content stays."""
    if stored is None or added is None:
        return added if stored is None else stored
    if not (isinstance(stored, dict) and isinstance(added, dict)):
        return stored
    first, more = stored.get("messages"), added.get("messages")
    if not isinstance(first, list) or not isinstance(more, list):
        return stored
    # A span may have a hundred thousand messages; comparing each pair would block all writers.
    known = {json_codec.canonical(message) for message in first}
    new = [message for message in more if json_codec.canonical(message) not in known]
    return stored | {"messages": first + new}


def scalars(body: TraceBody | SpanBody, names: tuple[str, ...]) -> Values:
    return {name: getattr(body, name) for name in names}


def sent_values(body: TraceBody | SpanBody, names: tuple[str, ...]) -> Values:
    """The values that the client sent and that are not null. Defaults replace nothing."""
    given = {name: getattr(body, name) for name in names if name in body.model_fields_set}
    return {name: value for name, value in given.items() if value is not None}


def _of_trace(key: Key) -> tuple[Any, ...]:
    return (_SPAN.c.project_id == key[0], _SPAN.c.trace_id == key[1])
