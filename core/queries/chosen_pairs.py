"""Runs over individually chosen pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from sqlalchemy import insert

from core.content_limits import MAX_LISTED_IDS
from core.db.database import Writer
from core.db.tables import EvalRun, EvalRunTarget
from core.queries import run_rows
from core.queries.run_sampling import ids_key
from core.run_spec import RunSpec


@dataclass(frozen=True, slots=True)
class Origin:
    """How the run came about: a word for its name, and the filter with the id of the old run."""

    word: str
    filter: str


Pairs = Sequence[tuple[str, list[str]]]
"""Targets with their metrics."""


async def create_run(
    db: Writer, old: EvalRun, pairs: Pairs, origin: Origin, *, fresh: bool
) -> EvalRun:
    """A run over pairs of the run `old`, with its options."""
    chosen = {metric for _, metrics in pairs for metric in metrics}
    spec = replace(
        RunSpec.of(old),
        run_id=uuid4(),
        name=f"{origin.word}: {old.name or old.id}"[:512],
        metric_names=[name for name in old.metric_names if name in chosen],
        sampling_rate=1.0,
        monitor_id=None,
        fresh=fresh,
    )
    filters = {origin.filter: str(old.id)} | _named(old, [target for target, _ in pairs])
    new = await run_rows.create(db, run_rows.NewRun(spec=spec, filters=filters))
    await db.execute(
        insert(EvalRunTarget),
        [
            {
                "run_id": new.id,
                "seq": seq,
                "target_id": target,
                "pair_count": len(metrics),
                "metrics": metrics,
            }
            for seq, (target, metrics) in enumerate(pairs)
        ],
    )
    new.total_targets = len(pairs)
    return new


def _named(old: EvalRun, targets: list[str]) -> dict[str, list[str]]:
    """The first few ids only, because the targets are frozen and every response repeats the
    filters.
    """
    return {} if len(targets) > MAX_LISTED_IDS else {ids_key(old.target_type): targets}
