"""A judge object that answers by each stage's own rule, unless the script says otherwise."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from evals.judge import A, Embedder, Judge, Judgement, ProviderStatus, Question, Usage

Script = Callable[[Question[Any], int], Awaitable[None]]
"""Sees each question and how often it was asked, this time included. May raise or wait."""


async def _agrees(question: Question[Any], times: int) -> None: ...


@dataclass
class ScriptedJudges:
    """Every model is served. `asked` counts equal questions."""

    script: Script = _agrees
    asked: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0

    default_model: str = "scripted/judge"
    embeds: Embedder = field(default_factory=lambda: NoEmbedder())

    def judge(self, model: str) -> Judge:
        return ScriptedJudge(self, model)

    def embedder(self) -> Embedder:
        return self.embeds

    def providers(self) -> list[ProviderStatus]:
        return [ProviderStatus("scripted", "Scripted", "For tests.", True, "Always there.")]


@dataclass
class ScriptedJudge:
    owner: ScriptedJudges
    model: str
    input_tokens: int = 100_000
    parameters: str = ""

    async def ask(self, question: Question[A]) -> Judgement[A]:
        owner = self.owner
        key = (question.stage, question.trace, question.text)
        owner.asked[key] += 1
        owner.in_flight += 1
        owner.most_in_flight = max(owner.most_in_flight, owner.in_flight)
        try:
            await owner.script(question, owner.asked[key])
        finally:
            owner.in_flight -= 1
        assert question.rule is not None
        return Judgement(
            question.rule(), Usage(calls=1, prompt_tokens=100, completion_tokens=10, cost_usd=0.001)
        )


class NoEmbedder:
    model = "none"

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise AssertionError("These metrics embed nothing.")


class Doors:
    """Holds questions back until it is opened, and tells when the first has come."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, question: Question[Any], times: int) -> None:
        self.reached.set()
        await self.open.wait()
