"""Runs a metric on its own example with the example's answer, without a judge."""

from collections.abc import Coroutine, Sequence
from typing import Any

from evals.case import TraceCase
from evals.metric import EmbeddingMetric, Example, JudgedMetric, Outcome, TraceMetric
from evals.transcript.facts import Facts


class ExampleEmbedder:
    """Returns the vectors of the example."""

    model = "example/vectors"

    def __init__(self, example: Example) -> None:
        self._vectors = example.vectors

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [list(self._vectors[text]) for text in texts]


def outcome(metric: TraceMetric) -> Outcome:
    """The outcome of the metric's example. Runs synchronously."""
    example = metric.example
    if isinstance(metric, JudgedMetric):
        judged: Outcome = metric.score(example.answer, Facts(example.trace))
        return judged
    if isinstance(metric, EmbeddingMetric):
        case = TraceCase(example.trace, ExampleEmbedder(example), example.earlier)
        return _completed(metric.evaluate(case))
    raise TypeError(f"{metric.name} is neither judged nor measured from embeddings.")


def _completed(evaluation: Coroutine[Any, Any, Outcome]) -> Outcome:
    try:
        evaluation.send(None)
    except StopIteration as done:
        found: Outcome = done.value
        return found
    evaluation.close()
    raise RuntimeError("A metric awaited something else than its embedder.")
