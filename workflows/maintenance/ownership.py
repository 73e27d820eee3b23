"""Checks that the runs of this database belong to this Temporal."""

from core.db.database import Database
from core.errors import Misconfigured
from core.queries import run_upkeep


async def check_ownership(database: Database, namespace: str, *, adopt: bool) -> None:
    """Raises Misconfigured if open runs belong to another Temporal.

    The workflows of these runs may still run there. If this Temporal started them too, each pair
    would be paid for twice. With `adopt` the runs are assigned to this Temporal.
    """
    async with database.write() as db:
        others = await run_upkeep.of_others(db, namespace)
        await run_upkeep.claim(db, namespace, all_runs=adopt)
    if others and not adopt:
        count = sum(others.values())
        runs = "1 run" if count == 1 else f"{count} runs"
        owners = ", ".join(sorted(others))
        raise Misconfigured(
            f"{runs} of this database belong to the Temporal namespace {owners}, and this worker "
            f"reaches {namespace}. Point TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE at the first. If "
            "it is lost for good, start one worker with ASSAY_ADOPT_RUNS=true: it starts these "
            "runs again and keeps their scores."
        )
