"""The judge without a provider: answers by the rule that stands beside each prompt."""

from typing import TypeVar

from pydantic import BaseModel

from core.errors import JudgeUnusable
from evals.judge import Judgement, Question, Usage

A = TypeVar("A", bound=BaseModel)

OFFLINE_PROVIDER = "offline"
OFFLINE_MODEL = "offline/rules"
BASELINE_NOTE = "(Offline rule, a baseline: no model read this trace.)"
"""Ends every reason that came from a rule."""

# Rules read the whole trace; its rendering only has to be the same as any judge's.
_INPUT_TOKENS = 128_000


class RulesJudge:
    """A deterministic baseline: looks at the structure of a trace and reads no meaning in it."""

    model = OFFLINE_MODEL
    input_tokens = _INPUT_TOKENS
    parameters = ""

    async def ask(self, question: Question[A]) -> Judgement[A]:
        if question.rule is None:
            raise JudgeUnusable(
                f"{OFFLINE_MODEL} has no rule for the stage {question.stage!r}. "
                "Name a model of a provider, for example by ASSAY_JUDGE_MODEL.",
                provider=OFFLINE_PROVIDER,
            )
        return Judgement(question.rule(), Usage())
