"""The steps and kinds of findings that the candidate's scores blame more, or less, than the
baseline's.
"""

from collections import Counter
from typing import Any, Final

from activities.comparing.plan import Plan
from core.db.database import Reader
from core.queries import run_blame
from core.queries.run_blame import BlameCounts

MAX_MOVED: Final = 20
"""Maximum number of listed steps, and of listed kinds, per metric."""


async def moved(db: Reader, plan: Plan, metric: str) -> dict[str, Any]:
    """Counts of scores with findings against the agent, and their shares of all scores."""
    sides = [await run_blame.counts(db, plan.project_id, run, metric) for run in plan.runs]
    return {
        "baseline_scores": sides[0].scores,
        "candidate_scores": sides[1].scores,
        "complete": all(side.complete for side in sides),
        "steps": _ranked(sides, [side.steps for side in sides]),
        "kinds": _ranked(sides, [side.kinds for side in sides]),
    }


def _ranked(sides: list[BlameCounts], counts: list[Counter[str]]) -> list[dict[str, Any]]:
    """The largest changes first."""
    rows: list[dict[str, Any]] = []
    for name in counts[0].keys() | counts[1].keys():
        rates = [
            count[name] / side.scores if side.scores else 0.0
            for side, count in zip(sides, counts, strict=True)
        ]
        rows.append(
            {
                "name": name,
                "baseline": counts[0][name],
                "candidate": counts[1][name],
                "baseline_rate": round(rates[0], 4),
                "candidate_rate": round(rates[1], 4),
                "difference": round(rates[1] - rates[0], 4),
            }
        )
    rows.sort(key=lambda row: (-abs(row["difference"]), -row["candidate"], row["name"]))
    return rows[:MAX_MOVED]
