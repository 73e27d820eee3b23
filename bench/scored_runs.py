"""Runs with many scores, written in bulk: no traces, no judging."""

import random
from typing import Any, Final
from uuid import UUID

from bench.filled_store import A_STATEMENT, LAST, METRICS
from core.db.database import Database
from core.db.tables import metadata
from core.ids import ProjectId, RunStatus, ScoreSource, ScoreStatus, ScoreType, TargetType

MODEL: Final = "openai/gpt-5.4-mini"
_FINDINGS: Final = (
    {"kind": "wish", "verdict": "met", "text": "The order is found.", "steps": [2], "points": 0.6},
    {
        **{"kind": "breach", "verdict": "lapse", "text": "The refund was not announced."},
        **{"tool": "refund_order", "steps": [4, 6], "points": -0.1},
    },
)


async def fill(
    database: Database, project_id: ProjectId, targets: int, *, seed: int, shift: float = 0.0
) -> UUID:
    """A completed run over `targets` traces by three metrics; the same ids for every seed."""
    chance = random.Random(seed)
    run_id = UUID(int=chance.getrandbits(128))
    run = {
        **{"id": run_id, "project_id": project_id, "target_type": TargetType.TRACE},
        **{"status": RunStatus.COMPLETED, "metric_names": list(METRICS), "filters": {}},
        **{"sampling_rate": 1.0, "model": MODEL, "fresh": False, "failed_count": 0},
        **{"total_targets": targets, "evaluated_count": targets},
        **{"created_at": LAST, "completed_at": LAST},
    }
    async with database.write() as db:
        await db.execute(metadata.tables["eval_run"].insert(), [run])
    for first in range(0, targets, A_STATEMENT):
        numbers = range(first, min(first + A_STATEMENT, targets))
        rows = [
            _score((project_id, run_id), number, metric, chance, shift)
            for number in numbers
            for metric in METRICS
        ]
        async with database.write() as db:
            await db.execute(metadata.tables["score"].insert(), rows)
    return run_id


def _score(
    of: tuple[ProjectId, UUID], number: int, metric: str, chance: random.Random, shift: float
) -> dict[str, Any]:
    project_id, run_id = of
    value = round(min(1.0, max(0.0, chance.betavariate(5, 2) + shift)), 4)
    meta = {
        **{"threshold": 0.5, "success": value >= 0.5, "metric_version": "v1"},
        **{"findings": list(_FINDINGS), "judge": {"model": MODEL}},
    }
    return {
        **{"id": UUID(int=chance.getrandbits(128)), "project_id": project_id, "name": metric},
        **{"target_type": TargetType.TRACE, "target_id": str(UUID(int=number << 64))},
        **{"status": ScoreStatus.SUCCESS, "source": ScoreSource.AUTOMATED},
        **{"data_type": ScoreType.NUMERIC, "value": f"{value:g}", "number": value},
        "reason": "The answer says what was asked and the tools were called for it.",
        **{"environment": "production", "eval_run_id": run_id},
        **{"judge_calls": 1, "cached_calls": 0, "prompt_tokens": 900, "completion_tokens": 90},
        **{"cost_usd": 0.0004, "metadata": meta, "created_at": LAST, "updated_at": LAST},
    }
