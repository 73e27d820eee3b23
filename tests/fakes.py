"""The judge and the embedder of tests: the only fakes in the suite."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from math import sqrt
from typing import Any

from pydantic import BaseModel

from bench.memory import MemoryStore
from evals.judges.protocol import A, Judgement, Question, Usage
from evals.transcript.phrases import words

Answer = BaseModel | BaseException | Callable[[Question[Any]], BaseModel]

ONE_CALL = Usage(calls=1, prompt_tokens=100, completion_tokens=20, cost_usd=0.001, latency_ms=5)


class ScriptedJudge:
    """Answers by metric. Raises an answer that is an exception. Answers by the rule of a metric
    without an answer.

    While `gate` is closed, questions arrive but get no answer.
    """

    def __init__(
        self,
        answers: Mapping[str, Answer] | None = None,
        *,
        model: str = "test/scripted",
        input_tokens: int = 100_000,
        answer_tokens: int = 16_000,
        parameters: str = "",
    ) -> None:
        self.model = model
        self.input_tokens = input_tokens
        self.answer_tokens = answer_tokens
        self.parameters = parameters
        self.questions: list[Question[Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._answers = dict(answers or {})

    @property
    def stages(self) -> list[str]:
        return [question.stage for question in self.questions]

    @property
    def prompts(self) -> list[str]:
        return [question.trace + question.text for question in self.questions]

    async def ask(self, question: Question[A]) -> Judgement[A]:
        self.questions.append(question)
        await self.gate.wait()
        return Judgement(question.answer.model_validate(self._answer(question)), ONE_CALL)

    def _answer(self, question: Question[A]) -> dict[str, Any]:
        if question.stage not in self._answers and question.shared_by > 1:
            return self._several(question)
        answer = self._answers.get(question.stage)
        if isinstance(answer, BaseException):
            raise answer
        if answer is None:
            assert question.rule is not None, f"nothing scripted for {question.stage}"
            return question.rule().model_dump()
        return (answer if isinstance(answer, BaseModel) else answer(question)).model_dump()

    def _several(self, question: Question[A]) -> dict[str, Any]:
        """The rules' answers to all parts, replaced by those of the script."""
        assert question.rule is not None
        parts = question.rule().model_dump()
        for name, answer in self._answers.items():
            if name in parts and isinstance(answer, BaseModel):
                parts[name] = answer.model_dump()
        return parts


class FakeEmbedder:
    """Texts that share words get similar vectors. The same text always gets the same vector."""

    model = "test/words"

    def __init__(self, dimensions: int = 64) -> None:
        self.texts: list[str] = []
        self._dimensions = dimensions

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts.extend(texts)
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self._dimensions
        for word in words(text) or {text}:
            vector[int.from_bytes(sha256(word.encode()).digest()[:4]) % self._dimensions] += 1.0
        length = sqrt(sum(part * part for part in vector))
        return [part / length for part in vector]


Shelf = MemoryStore
