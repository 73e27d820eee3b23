"""Computes a comparison: reads the scores in pages, pairs them, and applies the statistics."""

import asyncio
from dataclasses import asdict
from typing import Any

from activities.comparing import blame, reading
from activities.comparing.gathering import Gathered
from activities.comparing.partitions import Sided
from activities.comparing.plan import Plan
from core.db.database import Database
from core.pairing import KeyedScore
from core.queries import run_targets

_at_a_time = asyncio.Semaphore(1)
"""Statistics use a whole core, so a process computes one comparison at a time."""


async def result_of(database: Database, plan: Plan) -> dict[str, Any]:
    """The result in the form of the comparison's row, from one snapshot.

    Raises Invalid if deletion of a run by age has begun since the plan was made.
    Needs memory for one part of the scores, and about 24 bytes per pair.
    """
    async with _at_a_time:
        gathered = {metric: Gathered(plan.thresholds[metric]) for metric in plan.metrics}
        async with database.read() as db:
            for run in plan.runs:
                await run_targets.check_whole(db, run)
            async for part in reading.parts(db, plan, plan.metrics):
                await asyncio.to_thread(_gather, gathered, part)
            blamed = {metric: await blame.moved(db, plan, metric) for metric in plan.metrics}
        metrics = await asyncio.to_thread(_decide, plan, gathered, blamed)
    return {"metrics": metrics, "missing_metrics": plan.missing}


def _gather(gathered: dict[str, Gathered], part: list[Sided]) -> None:
    scores: dict[str, tuple[list[KeyedScore], list[KeyedScore]]] = {
        metric: ([], []) for metric in gathered
    }
    for side, metric, score in part:
        scores[metric][side].append(score)
    for metric, sides in scores.items():
        gathered[metric].add(*sides)


def _decide(
    plan: Plan, gathered: dict[str, Gathered], blamed: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    # Imported here, because SciPy takes half a second and 50 MB to load.
    from core.statistics.comparison import compare
    from core.statistics.wording import summary

    tallies = {metric: one.tally for metric, one in gathered.items()}
    compared = {one.metric: one for one in compare(tallies, alpha=plan.alpha, margin=plan.margin)}
    return [
        {
            **(asdict(compared[metric]) if metric in compared else _nothing(metric)),
            "summary": summary(metric, compared.get(metric), plan.margin),
            "model": plan.model,
            "metric_version": _shared_version(plan, metric),
            "same_version": plan.versions[metric][0] == plan.versions[metric][1],
            "blame": blamed[metric],
            **one.lists(),
        }
        for metric, one in gathered.items()
    ]


def _shared_version(plan: Plan, metric: str) -> str | None:
    baseline, candidate = plan.versions[metric]
    return baseline if baseline == candidate else None


def _nothing(metric: str) -> dict[str, Any]:
    """A metric without a single pair of numbers."""
    zero = ("pairs", "clusters", "wins", "ties", "losses", "passed_both")
    return {
        "metric": metric,
        "verdict": "cannot tell",
        **dict.fromkeys((*zero, "passed_only_baseline", "passed_only_candidate"), 0),
        **dict.fromkeys(("baseline_mean", "candidate_mean", "difference"), 0.0),
        **dict.fromkeys(("mcnemar_p", "p_value"), 1.0),
        **dict.fromkeys(("interval", "d_z", "further_pairs")),
    }
