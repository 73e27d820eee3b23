"""Runs a metric on its own example: what its prompts look like, and what it makes of answers."""

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from evals.case import TraceCase
from evals.judge import Judgement, Question, Usage
from evals.metric import Example, Outcome, TraceMetric
from evals.reading import Reading

A = TypeVar("A", bound=BaseModel)

_INPUT_TOKENS = 100_000


class ExampleJudge:
    """Gives the answers and vectors written in the example, and keeps the questions."""

    model = "example/answers"
    input_tokens = _INPUT_TOKENS
    parameters = ""

    def __init__(self, example: Example) -> None:
        self._example = example
        self.questions: list[Question[Any]] = []

    async def ask(self, question: Question[A]) -> Judgement[A]:
        self.questions.append(question)
        answer = self._example.answers[question.stage]
        return Judgement(question.answer.model_validate(answer.model_dump()), Usage(calls=1))

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [list(self._example.vectors[text]) for text in texts]


def run(metric: TraceMetric) -> tuple[Outcome, list[Question[Any]]]:
    """The outcome, and what was asked, in order. Nothing is waited for."""
    judge = ExampleJudge(metric.example)
    case = TraceCase(Reading(metric.example.trace), judge, judge, metric.example.earlier)
    return _completed(metric.evaluate(case)), judge.questions


def _completed(evaluation: Coroutine[Any, Any, Outcome]) -> Outcome:
    try:
        evaluation.send(None)
    except StopIteration as done:
        outcome: Outcome = done.value
        return outcome
    evaluation.close()
    raise RuntimeError("A metric waited for something else than its judge.")
