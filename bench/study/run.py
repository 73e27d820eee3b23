"""Asks the questions of a study, and stores the resulting scores."""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import traces
from bench.memory import MemoryStore
from bench.study.files import FileJudge, NotAnswered, StudyFolder, UnusableAnswer
from core.errors import JudgeError
from evals.catalog import trace_metric
from evals.evaluation import Evaluation, evaluate
from evals.judges.cache import Questions, RememberingJudge
from evals.judges.protocol import Embedder, Judge
from evals.judges.registry import JudgeConfig, configured_judges
from evals.metric import JudgedMetric, Scored
from evals.steps import actions
from evals.transcript.transcript import Transcript

FILES = "files"
AT_ONCE = 8
Score = dict[str, Any]


@dataclass(slots=True)
class Answered:
    """`open_questions`: files without an answer. `unusable`: answers that do not validate."""

    scores: list[Score] = field(default_factory=list)
    open_questions: int = 0
    unusable: list[str] = field(default_factory=list)


def sampled(path: Path, size: int | None, seed: int) -> list[Transcript]:
    """The same conversations in the same order for the same seed."""
    everything = [Transcript(trace) for _, trace in traces.read(path)]
    if size is None or size >= len(everything):
        return everything
    return random.Random(seed).sample(everything, size)


def judged_metrics(names: Sequence[str]) -> list[JudgedMetric[Any]]:
    found = [trace_metric(name) for name in names]
    return [metric for metric in found if isinstance(metric, JudgedMetric)]


async def answered(
    transcripts: Sequence[Transcript],
    metrics: Sequence[JudgedMetric[Any]],
    judge: JudgeConfig,
    folder: StudyFolder,
) -> Answered:
    """The model of `judge` may be `files`. Writes `scores.json` next to the answers."""
    by_files = judge.model == FILES
    judges = configured_judges(replace(judge, model=None) if by_files else judge)
    memory, flights = MemoryStore(), Questions()
    room = asyncio.Semaphore(AT_ONCE)
    result = Answered()

    async def one(number: int, transcript: Transcript) -> None:
        asked: Judge = FileJudge(folder, number)
        if not by_files:
            asked = RememberingJudge(judges.judge(judges.default_model), memory, flights)
        async with room:
            await _conversation(transcript, metrics, asked, judges.embedder(), result)

    try:
        await asyncio.gather(*(one(n, transcript) for n, transcript in enumerate(transcripts, 1)))
    finally:
        await judges.close()
    _save(folder, result.scores)
    return result


async def _conversation(
    transcript: Transcript,
    metrics: Sequence[JudgedMetric[Any]],
    judge: Judge,
    embedder: Embedder,
    result: Answered,
) -> None:
    for metric in metrics:
        try:
            evaluation = await evaluate(metric, transcript, judge, embedder, together=metrics)
        except NotAnswered:
            result.open_questions += 1
            return
        except UnusableAnswer as problem:
            result.unusable.append(problem.message)
        except JudgeError as problem:
            result.unusable.append(f"{transcript.trace.id} {metric.name}: {problem.message}")
        else:
            result.scores.append(_score(transcript, metric, evaluation))


def _score(transcript: Transcript, metric: JudgedMetric[Any], evaluation: Evaluation) -> Score:
    outcome = evaluation.outcome
    return {
        "trace_id": str(transcript.trace.id),
        "metric": metric.name,
        "version": metric.version,
        "applicable": isinstance(outcome, Scored),
        "score": outcome.value if isinstance(outcome, Scored) else None,
        "success": evaluation.metadata.get("success"),
        "likelihood": evaluation.metadata.get("likelihood"),
        "findings": evaluation.metadata.get("findings", []),
        "action_steps": sorted(actions(transcript.facts)),
    }


def _save(folder: StudyFolder, scores: Sequence[Score]) -> None:
    path = scores_path(folder)
    path.write_text(json.dumps(list(scores), indent=1))


def scores_path(folder: StudyFolder) -> Path:
    return folder.root / f"scores-{folder.answers_in}.json"


def saved_scores(root: Path, answers_in: str = "answers") -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = json.loads(
        scores_path(StudyFolder(root, answers_in)).read_text()
    )
    return found
