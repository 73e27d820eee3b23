"""Writing traces: new ones in three statements, however many; a known one merged."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Table, func, select, update

from core import clock, dialect, ingestion
from core.database import Writer
from core.ids import ProjectId, TargetType, TraceId
from core.ingestion import ObservedTrace, SpanBody, TraceBody
from core.queries import observed
from core.tables import metadata

_TRACE: Final = metadata.tables["trace"]
_SPAN: Final = metadata.tables["span"]
_TAG: Final = metadata.tables["trace_tag"]
_SCORE: Final = metadata.tables["score"]

_SCALARS: Final = (
    *("name", "status", "input", "output", "started_at", "ended_at"),
    *("session_id", "user_id", "environment", "release"),
)
_HELD: Final = (
    *("metadata", "from_spans", "started_at", "ended_at"),
    *("session_id", "user_id", "environment", "release"),
)
_SPAN_SCALARS: Final = (
    *("parent_span_id", "name", "kind", "status", "input", "output", "model", "token_usage"),
    *("started_at", "ended_at", "error", "completion_start_time", "model_parameters", "cost"),
)
_SUMS: Final = ("total_tokens", "prompt_tokens", "completion_tokens", "total_cost")

_TAGS_A_STATEMENT = 1000

Values = dict[str, Any]
Key = tuple[ProjectId, UUID]


async def store(db: Writer, project_id: ProjectId, body: TraceBody) -> TraceId:
    """Adds the trace, or merges it into the one the project has under its id.

    Merging: what comes non-null replaces, metadata merges shallowly, tags unite,
    spans upsert by their id in the same way.
    """
    await store_all(db, [(project_id, body)])
    return TraceId(body.trace_id)


async def store_all(db: Writer, incoming: Sequence[tuple[ProjectId, TraceBody]]) -> None:
    """Stores each as `store` does, in the order given."""
    firsts: dict[Key, TraceBody] = {}
    later: list[tuple[Key, TraceBody]] = []
    for project_id, body in incoming:
        key = (project_id, body.trace_id)
        if firsts.setdefault(key, body) is not body:
            later.append((key, body))
    spans = {key: _merged_by_id({}, body.spans) for key, body in firsts.items()}
    added = await _add_traces(db, firsts, spans)
    known = [(key, body) for key, body in firsts.items() if key not in added]
    for key, body in known + later:
        await _merge(db, key, body)


async def _add_traces(
    db: Writer, bodies: Mapping[Key, TraceBody], spans: Mapping[Key, dict[UUID, Values]]
) -> set[Key]:
    """Adds those that are new, whole, and says which they are."""
    dialect_name = db.get_bind().dialect.name
    moment = clock.now()
    rows = [_new_row(key, body, spans[key], moment) for key, body in bodies.items()]
    found = await db.execute(_add_new_traces(dialect_name), rows)
    added = {(ProjectId(row.project_id), row.id) for row in found}
    span_rows = [
        span | {"project_id": project_id, "trace_id": trace_id, "id": id}
        for project_id, trace_id in added
        for id, span in spans[project_id, trace_id].items()
    ]
    if span_rows:
        await db.execute(_add(dialect_name, _SPAN), span_rows)
    for_tags = [
        row for key in added for row in tag_rows(key, bodies[key].started_at, bodies[key].tags)
    ]
    await add_tags(db, for_tags)
    return added


def _new_row(key: Key, body: TraceBody, spans: Mapping[UUID, Values], moment: datetime) -> Values:
    return _scalars(body, _SCALARS) | {
        "project_id": key[0],
        "id": key[1],
        "metadata": body.metadata,
        "from_spans": isinstance(body, ObservedTrace),
        "latency_ms": ingestion.latency_ms(body.started_at, body.ended_at),
        "ingested_at": moment,
        "updated_at": moment,
        "span_count": len(spans),
        **{name: sum(span[name] for span in spans.values()) for name in _SUMS},
    }


def tag_rows(key: Key, started_at: datetime, tags: Iterable[str]) -> list[Values]:
    """One for each tag of a trace that started then."""
    trace = {"project_id": key[0], "trace_id": key[1], "started_at": started_at}
    return [trace | {"tag": tag} for tag in sorted(set(tags))]


async def add_tags(db: Writer, rows: Sequence[Values]) -> None:
    """Leaves those alone that are there already."""
    statement = _add_new(db.get_bind().dialect.name, _TAG)
    for chunk in dialect.chunks(rows, _TAGS_A_STATEMENT):
        await db.execute(statement, chunk)


async def _merge(db: Writer, key: Key, body: TraceBody) -> None:
    held = await lock(db, key)
    assert held is not None  # It was there a statement ago, and this transaction removed none.
    sums = await put_spans(db, key, body.spans) if body.spans else {}
    if isinstance(body, ObservedTrace):
        sent = await observed.changes(db, key, held, body)
    else:
        # From now on the trace is what its client says it is.
        sent = _sent(body, _SCALARS) | {"from_spans": False}
        if body.metadata:
            sent["metadata"] = held["metadata"] | body.metadata
    sent |= sums
    await add_tags(db, tag_rows(key, held["started_at"], body.tags))
    await change(db, key, held, sent)


async def lock(db: Writer, key: Key) -> Values | None:
    """What a change of a trace needs to know of it; holds other changes of it off.

    None where the project has no such trace.
    """
    columns = [_TRACE.c[name] for name in _HELD]
    # The lock holds off a second merge of this trace; SQLite has but one writer anyway.
    found = await db.execute(select(*columns).where(*_is(key)).with_for_update())
    row = found.first()
    return None if row is None else dict(row._mapping)


async def change(db: Writer, key: Key, held: Values, values: Values) -> None:
    """Writes the columns given, and what follows from them. `held` is what `lock` answered."""
    changed = held | values
    await db.execute(
        update(_TRACE)
        .where(*_is(key))
        .values(
            **values,
            latency_ms=ingestion.latency_ms(changed["started_at"], changed["ended_at"]),
            updated_at=clock.now(),
        )
    )
    if changed["started_at"] != held["started_at"]:
        await db.execute(
            update(_TAG)
            .where(_TAG.c.project_id == key[0], _TAG.c.trace_id == key[1])
            .values(started_at=changed["started_at"])
        )
    if changed["environment"] != held["environment"]:
        await db.execute(
            update(_SCORE)
            .where(
                _SCORE.c.project_id == key[0],
                _SCORE.c.target_type == TargetType.TRACE,
                _SCORE.c.target_id == str(key[1]),
            )
            .values(environment=changed["environment"])
        )


async def put_spans(db: Writer, key: Key, bodies: Sequence[SpanBody]) -> Values:
    """Merges spans into a locked trace and answers its sums after that."""
    known = await spans_by_id(db, key, [body.span_id for body in bodies])
    return await write_spans(db, key, _merged_by_id(known, bodies))


async def write_spans(db: Writer, key: Key, spans: Mapping[UUID, Values]) -> Values:
    """Writes whole spans of a locked trace and answers its sums after that."""
    rows = [
        span | {"project_id": key[0], "trace_id": key[1], "id": id} for id, span in spans.items()
    ]
    await db.execute(_put(db.get_bind().dialect.name, _SPAN), rows)
    sums = [func.sum(_SPAN.c[name]).label(name) for name in _SUMS]
    found = await db.execute(select(func.count().label("span_count"), *sums).where(*_of_trace(key)))
    row = found.one()
    return {
        "span_count": row.span_count,
        **{name: int(getattr(row, name)) for name in _SUMS if name != "total_cost"},
        "total_cost": row.total_cost,
    }


async def spans_by_id(db: Writer, key: Key, ids: Sequence[UUID]) -> dict[UUID, Values]:
    """Those of the ids that the trace has."""
    found = await db.execute(
        select(*_SPAN.columns).where(*_of_trace(key), _SPAN.c.id.in_(set(ids)))
    )
    return {row.id: dict(row._mapping) for row in found}


def counted(span: Values) -> Values:
    """The span with the numbers that follow from its usage and cost."""
    usage = ingestion.tokens(span["token_usage"])
    return span | {
        "total_tokens": usage.total,
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_cost": ingestion.dollars(span["cost"]),
    }


def _merged_by_id(known: Mapping[UUID, Values], bodies: Iterable[SpanBody]) -> dict[UUID, Values]:
    """The spans that come, each laid over what is known of it, or came before it."""
    merged: dict[UUID, Values] = {}
    for body in bodies:
        before = merged.get(body.span_id) or known.get(body.span_id)
        if before is None:
            span = _scalars(body, _SPAN_SCALARS) | {"metadata": body.metadata}
        else:
            span = before | _sent(body, _SPAN_SCALARS)
            span["metadata"] = before["metadata"] | body.metadata
        merged[body.span_id] = counted(span)
    return merged


def _scalars(body: TraceBody | SpanBody, names: tuple[str, ...]) -> Values:
    return {name: getattr(body, name) for name in names}


def _sent(body: TraceBody | SpanBody, names: tuple[str, ...]) -> Values:
    """Only what the client wrote and did not write as null; no default replaces anything."""
    given = {name: getattr(body, name) for name in names if name in body.model_fields_set}
    return {name: value for name, value in given.items() if value is not None}


def _is(key: Key) -> tuple[Any, ...]:
    return (_TRACE.c.project_id == key[0], _TRACE.c.id == key[1])


def _of_trace(key: Key) -> tuple[Any, ...]:
    return (_SPAN.c.project_id == key[0], _SPAN.c.trace_id == key[1])


# Each made once: to build a statement costs as much as to run it.


@cache
def _add(dialect_name: str, table: Table) -> dialect.Insert:
    return dialect.insert(dialect_name, table)


@cache
def _add_new(dialect_name: str, table: Table) -> dialect.Insert:
    return dialect.insert(dialect_name, table).on_conflict_do_nothing()


@cache
def _add_new_traces(dialect_name: str) -> Any:
    return _add_new(dialect_name, _TRACE).returning(_TRACE.c.project_id, _TRACE.c.id)


@cache
def _put(dialect_name: str, table: Table) -> dialect.Insert:
    statement = dialect.insert(dialect_name, table)
    keys = set(table.primary_key.columns.keys())
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys},
    )
