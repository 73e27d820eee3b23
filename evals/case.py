"""One metric at work on one trace."""

import re
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel

from core.records import Trace
from evals.facts import Facts
from evals.fencing import fenced
from evals.judge import Embedder, Judge, Question, Usage
from evals.metric import Stage
from evals.reading import Reading

A = TypeVar("A", bound=BaseModel)

_INPUT = re.compile(r"\{(\w+)\}")


class TraceCase:
    """What a metric sees: the trace, its facts, and someone to ask. Adds up what asking cost."""

    def __init__(
        self,
        reading: Reading,
        judge: Judge,
        embedder: Embedder,
        earlier: Sequence[Trace] = (),
    ) -> None:
        """`earlier`: the traces before it in its session, oldest first."""
        self.trace = reading.trace
        self.earlier = tuple(earlier)
        self.usage = Usage()
        self.asked = False
        self._reading = reading
        self._judge = judge
        self._embedder = embedder

    @property
    def facts(self) -> Facts:
        return self._reading.facts

    @property
    def model(self) -> str:
        return self._judge.model

    @property
    def truncated(self) -> bool:
        """Whether the judge gets to read less than the whole trace."""
        return self._reading.prompt(self._judge.input_tokens).truncated

    async def ask(self, stage: Stage[A], **inputs: str) -> A:
        """Raises JudgeError. Inputs are untrusted too: they come out of the trace."""
        self.asked = True
        trace = self._reading.prompt(self._judge.input_tokens).text
        judgement = await self._judge.ask(self._question(stage, trace, inputs))
        self.usage += judgement.usage
        return judgement.answer

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        # A lone surrogate has no bytes to send.
        return await self._embedder.embed(
            [text.encode("utf-8", "replace").decode() for text in texts]
        )

    def _question(self, stage: Stage[A], trace: str, inputs: dict[str, str]) -> Question[A]:
        def filled(found: re.Match[str]) -> str:
            return fenced(found[1], inputs[found[1]])

        rule = stage.rule
        return Question(
            stage=stage.name,
            trace=trace,
            text=_INPUT.sub(filled, stage.prompt),
            answer=stage.answer,
            rule=None if rule is None else lambda: rule(self.facts),
        )
