"""A judge that answers by the rule of each metric, unless the script overrides it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.provider_status import ThrottleStatus
from evals.judges import call_price
from evals.judges.protocol import (
    A,
    Embedder,
    Judge,
    Judgement,
    ProviderStatus,
    Question,
    Usage,
)
from evals.judges.spending import UNLIMITED

Script = Callable[[Question[Any], int], Awaitable[None]]
"""Gets each question and the number of times it was asked, including this time.

May raise or wait.
"""


async def _agrees(question: Question[Any], times: int) -> None: ...


@dataclass
class ScriptedJudges:
    """Serves every model.

    `asked` counts equal questions. In a shared answer, the parts of `spoiled` metrics do not
    validate.
    """

    script: Script = _agrees
    spoiled: frozenset[str] = frozenset()
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

    def throttles(self) -> list[ThrottleStatus]:
        return []


@dataclass
class ScriptedJudge:
    owner: ScriptedJudges
    model: str
    input_tokens: int = 100_000
    answer_tokens: int = 16_000
    parameters: str = ""

    async def ask(self, question: Question[A]) -> Judgement[A]:
        spending = question.spending
        hold = UNLIMITED if spending is None else spending.hold(prompt_bytes=0, answer_tokens=100)
        async with hold as held:
            held.begin()
            judgement = await self._answer(question)
            held.settle(judgement.usage)
            return judgement

    async def _answer(self, question: Question[A]) -> Judgement[A]:
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
        answer = question.rule()
        parts = owner.spoiled & set(type(answer).model_fields)
        return Judgement(
            answer.model_copy(update=dict.fromkeys(parts)),
            Usage(calls=1, prompt_tokens=100, completion_tokens=10, cost_usd=0.001),
        )


BILLED_TOKENS = 110
MOST_TOKENS = call_price.PROMPT_OVERHEAD + 100
"""The bill and the reservation of a call of this judge."""


class NoEmbedder:
    model = "none"

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise AssertionError("These metrics embed nothing.")


class Doors:
    """Holds questions back until it is opened, and signals the first one."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, question: Question[Any], times: int) -> None:
        self.reached.set()
        await self.open.wait()
