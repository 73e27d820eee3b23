"""Open runs, for their reconciliation by the workers of one Temporal."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, tuple_, update
from sqlalchemy.orm import defer
from sqlmodel import col

from core import clock
from core.db.database import Reader, Writer
from core.db.tables import EvalRun
from core.queries.run_rows import UNDER_WAY

RunPlace = tuple[datetime, UUID]
"""The position of a run in the order of admission."""

_PLACE: Final = (col(EvalRun.admitted_at), col(EvalRun.id))


async def unfinished(
    db: Reader,
    *,
    older_than_seconds: float,
    limit: int,
    namespace: str | None = None,
    after: RunPlace | None = None,
) -> Sequence[EvalRun]:
    """Open runs of every project, oldest first; their workflow may be missing.

    A row with a future time also counts as old: its clock was set back after it was created. With
    `namespace`, omits runs of other Temporals.
    """
    where: list[ColumnElement[bool]] = [
        *UNDER_WAY,
        or_(
            col(EvalRun.admitted_at) < clock.seconds_ago(older_than_seconds),
            col(EvalRun.admitted_at) > clock.now(),
        ),
    ]
    if namespace is not None:
        where.append(_may_belong_to(namespace))
    if after is not None:
        where.append(tuple_(*_PLACE) > tuple_(*after))
    rows = await db.execute(
        select(EvalRun)
        # Omits the filters, which are not needed and may take 100 KB per run.
        .options(defer(EvalRun.filters))  # type: ignore[arg-type]  # SQLModel declares the value
        .where(*where)
        .order_by(*_PLACE)
        .limit(limit)
    )
    return rows.scalars().all()


def place_of(run: EvalRun) -> RunPlace:
    assert run.admitted_at is not None
    return run.admitted_at, run.id


async def of_others(db: Reader, namespace: str) -> dict[str, int]:
    """The numbers of open runs of other Temporal namespaces, by namespace."""
    rows = await db.execute(
        select(func.coalesce(col(EvalRun.temporal_namespace), ""), func.count())
        .where(*UNDER_WAY, ~_may_belong_to(namespace))
        .group_by(col(EvalRun.temporal_namespace))
    )
    return {str(other): count for other, count in rows}


async def claim(db: Writer, namespace: str, *, all_runs: bool) -> None:
    """Assigns open runs without a namespace, or all open runs, to this Temporal."""
    where = [*UNDER_WAY]
    if not all_runs:
        where.append(col(EvalRun.temporal_namespace).is_(None))
    await db.execute(update(EvalRun).where(*where).values(temporal_namespace=namespace))


def _may_belong_to(namespace: str) -> ColumnElement[bool]:
    # Runs of earlier releases have no namespace.
    return func.coalesce(col(EvalRun.temporal_namespace), namespace) == namespace
