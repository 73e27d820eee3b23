"""The judge without a provider: answers with the rule of each metric."""

from typing import TypeVar

from pydantic import BaseModel

from core.errors import JudgeUnusable
from evals.judges.protocol import Judgement, Question, Usage

A = TypeVar("A", bound=BaseModel)

OFFLINE_PROVIDER = "offline"
OFFLINE_MODEL = "offline/rules"
BASELINE_NOTE = "(Offline rule, a baseline: no model read this trace.)"
"""The end of every reason from a rule."""

# Rules read the trace itself. With this budget the rendering is the same as for other judges.
_INPUT_TOKENS = 128_000


class RulesJudge:
    """A deterministic baseline that uses only the structure of a trace, not its meaning."""

    model = OFFLINE_MODEL
    input_tokens = _INPUT_TOKENS
    answer_tokens = _INPUT_TOKENS
    parameters = ""

    async def ask(self, question: Question[A]) -> Judgement[A]:
        if question.rule is None:
            raise JudgeUnusable(
                f"{OFFLINE_MODEL} has no rule for {question.stage}. "
                "Name a model of a provider, for example by ASSAY_JUDGE_MODEL.",
                provider=OFFLINE_PROVIDER,
            )
        return Judgement(question.rule(), Usage())
