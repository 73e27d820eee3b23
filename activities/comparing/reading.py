"""Reads the scores of two runs in parts that fit into memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from activities.comparing.partitions import Partitions, Sided
from activities.comparing.plan import Plan
from core.db.database import Reader
from core.queries import comparison_scores


async def parts(db: Reader, plan: Plan, metrics: Sequence[str]) -> AsyncIterator[list[Sided]]:
    """All scores by these metrics. The scores of a cluster are in one part."""
    with Partitions(2 * plan.pairs) as partitions:
        for side, run in enumerate(plan.runs):
            pages = comparison_scores.pages(db, plan.project_id, run, metrics, plan.key)
            async for page in pages:
                await asyncio.to_thread(partitions.add, side, page)
        found = partitions.parts()
        while (part := await asyncio.to_thread(next, found, None)) is not None:
            yield part
