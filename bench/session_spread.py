"""The distribution of session metrics over labelled sessions, and how well they separate good from
bad sessions.

    python -m bench.session_spread TURNS LABELS [--model MODEL]

TURNS are JSON Lines of trace bodies, one per turn of a session, LABELS a CSV with the columns
session_id and reward (1: the task of the session was accomplished). Without --model the judged
signals come from `offline/rules`. Prints quantiles of both session metrics, and their AUC.
"""

import argparse
import asyncio
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench import traces
from bench.memory import MemoryStore
from bench.study.figures import Case, auc, interval
from core.trace_model import Trace
from evals import catalog
from evals.evaluation import evaluate, evaluate_session
from evals.judges.cache import Questions, RememberingJudge
from evals.judges.offline import OFFLINE_MODEL
from evals.judges.protocol import Embedder, Judge
from evals.judges.registry import JudgeConfig, configured_judges
from evals.metric import JudgedMetric, Scored
from evals.signals import SIGNAL_WEIGHTS, SessionCase, TraceSignals, coherence_references
from evals.transcript.facts import plain_text

AT_ONCE = 8
UNRELATED = 64
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Signals:
    """Signals of traces, with the references of a project with these traces."""

    def __init__(self, judge: Judge, embedder: Embedder, inputs: dict[str, list[str]]) -> None:
        self._judge = judge
        self._embedder = embedder
        self._inputs = inputs
        self._metrics = [catalog.signal_metric(name) for name in SIGNAL_WEIGHTS]

    async def of(self, trace: Trace, earlier: Sequence[Trace]) -> TraceSignals:
        judged = [metric for metric in self._metrics if isinstance(metric, JudgedMetric)]
        references = {metric.name: metric.threshold for metric in self._metrics}
        values: dict[str, float] = {}
        for metric in self._metrics:
            found = await evaluate(
                metric, trace, self._judge, self._embedder, earlier, together=judged
            )
            if isinstance(found.outcome, Scored):
                values[metric.name] = found.outcome.value
        if "coherence" in values:
            references["coherence"] = await self._reference(trace)
        return TraceSignals(str(trace.id), values, references)

    async def _reference(self, trace: Trace) -> float:
        """Inputs of other sessions, sampled evenly."""
        other = [
            text
            for session_id, texts in self._inputs.items()
            if session_id != trace.session_id
            for text in texts
        ]
        unrelated = other[:: max(1, len(other) // UNRELATED)][:UNRELATED]
        output, *vectors = await self._embedder.embed([plain_text(trace.output), *unrelated])
        return coherence_references([output], vectors)[0]


async def sessions(path: Path, model: str) -> dict[str, SessionCase]:
    judges = configured_judges(JudgeConfig(model=model))
    turns: dict[str, list[Trace]] = {}
    for _, trace in traces.read(path):
        turns.setdefault(trace.session_id or str(trace.id), []).append(trace)
    for found in turns.values():
        found.sort(key=lambda trace: (trace.started_at, trace.id))
    inputs = {
        session_id: [text for trace in found if (text := plain_text(trace.input))]
        for session_id, found in turns.items()
    }
    judge = RememberingJudge(judges.judge(model), MemoryStore(), Questions())
    signals = Signals(judge, judges.embedder(), inputs)
    room = asyncio.Semaphore(AT_ONCE)

    async def one(found: list[Trace]) -> SessionCase:
        async with room:
            return SessionCase(
                tuple(
                    [
                        await signals.of(trace, found[max(0, n - 3) : n])
                        for n, trace in enumerate(found)
                    ]
                )
            )

    cases = await asyncio.gather(*map(one, turns.values()))
    return dict(zip(turns, cases, strict=True))


def report(name: str, scores: dict[str, float], labels: dict[str, bool]) -> str:
    spread = ", ".join(f"{value:.2f}" for value in np.quantile([*scores.values()], QUANTILES))
    cases = [Case(score, False, labels[key]) for key, score in scores.items() if key in labels]
    low, high = interval(auc, cases)
    return (
        f"{name} over {len(scores)} sessions\n"
        f"  quantiles 5, 25, 50, 75, 95 %   {spread}\n"
        f"  AUC against {len(cases)} labels   {auc(cases):.2f}  95 % interval {low:.2f} to "
        f"{high:.2f}"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("turns", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--model", default=OFFLINE_MODEL)
    given = parser.parse_args()
    with given.labels.open(newline="") as lines:
        labels = {row["session_id"]: float(row["reward"]) >= 0.5 for row in csv.DictReader(lines)}
    cases = await sessions(given.turns, given.model)
    print(f"signals by {given.model}")
    for metric in catalog.session_metrics():
        outcomes = {key: evaluate_session(metric, case).outcome for key, case in cases.items()}
        scores = {key: one.value for key, one in outcomes.items() if isinstance(one, Scored)}
        print(report(metric.name, scores, labels))


if __name__ == "__main__":
    asyncio.run(main())
