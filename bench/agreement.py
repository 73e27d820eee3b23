"""How far a judge's task_completion agrees with what really came of each conversation.

    python -m bench.agreement TRACES LABELS [--model MODEL]

TRACES are JSON Lines of trace bodies, LABELS a CSV with the columns trace_id and
reward (1: the task was accomplished). Without --model it is `offline/rules`.
"""

import argparse
import asyncio
import csv
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench import traces
from evals.catalog import trace_metric
from evals.evaluation import evaluate
from evals.judge import Embedder, Judge
from evals.judges import JudgeConfig, configured_judges
from evals.metric import DEFAULT_THRESHOLD, Scored
from evals.reading import Reading
from evals.rules import OFFLINE_MODEL

RESAMPLES = 2_000
AT_ONCE = 8


class Case(NamedTuple):
    score: float
    accomplished: bool

    @property
    def agrees(self) -> bool:
        return (self.score >= DEFAULT_THRESHOLD) == self.accomplished


Figure = Callable[[Sequence[Case]], float]


def accuracy(cases: Sequence[Case]) -> float:
    return sum(case.agrees for case in cases) / len(cases)


def auc(cases: Sequence[Case]) -> float:
    """How often an accomplished task scores above another; ties count half."""
    good = [case.score for case in cases if case.accomplished]
    bad = [case.score for case in cases if not case.accomplished]
    if not good or not bad:
        return 0.5
    won = sum((one > other) + 0.5 * (one == other) for one in good for other in bad)
    return won / (len(good) * len(bad))


def kappa(cases: Sequence[Case]) -> float:
    """Cohen's: agreement beyond what the two rates alone would give."""
    count = len(cases)
    said = sum(case.score >= DEFAULT_THRESHOLD for case in cases) / count
    true = sum(case.accomplished for case in cases) / count
    by_chance = said * true + (1 - said) * (1 - true)
    return (accuracy(cases) - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0


def interval(figure: Figure, cases: Sequence[Case]) -> tuple[float, float]:
    """The middle 95 % over resamples with replacement; the same on every run."""
    chance = random.Random(0)
    found = sorted(figure(chance.choices(cases, k=len(cases))) for _ in range(RESAMPLES))
    return found[int(0.025 * RESAMPLES)], found[int(0.975 * RESAMPLES)]


async def judged(
    path: Path, labels: dict[str, bool], judge: Judge, embedder: Embedder
) -> list[Case]:
    metric = trace_metric("task_completion")
    room = asyncio.Semaphore(AT_ONCE)

    async def one(reading: Reading) -> Case | None:
        async with room:
            evaluation = await evaluate(metric, reading, judge, embedder)
        outcome = evaluation.outcome
        if not isinstance(outcome, Scored):
            return None
        return Case(outcome.value, labels[str(reading.trace.id)])

    asked = [Reading(trace) for _, trace in traces.read(path) if str(trace.id) in labels]
    found = await asyncio.gather(*map(one, asked))
    return [case for case in found if case is not None]


def read_labels(path: Path) -> dict[str, bool]:
    with path.open(newline="") as lines:
        return {row["trace_id"]: float(row["reward"]) >= 0.5 for row in csv.DictReader(lines)}


def report(model: str, cases: Sequence[Case]) -> str:
    rate = sum(case.accomplished for case in cases) / len(cases)
    lines = [
        f"task_completion by {model} against {len(cases)} labelled conversations",
        f"  really accomplished    {rate:.0%}   judged accomplished "
        f"{sum(case.score >= DEFAULT_THRESHOLD for case in cases) / len(cases):.0%}",
    ]
    for name, figure in (("accuracy", accuracy), ("AUC", auc), ("Cohen's kappa", kappa)):
        low, high = interval(figure, cases)
        lines.append(f"  {name:<22} {figure(cases):.2f}  95 % interval {low:.2f} to {high:.2f}")
    return "\n".join(lines)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("traces", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--model", default=OFFLINE_MODEL)
    given = parser.parse_args()
    labels = read_labels(given.labels)
    judges = configured_judges(JudgeConfig(model=given.model))
    cases = await judged(given.traces, labels, judges.judge(given.model), judges.embedder())
    print(report(given.model, cases))


if __name__ == "__main__":
    asyncio.run(main())
