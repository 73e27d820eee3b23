"""The text that a judge read for a score: the trace, and the questions about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.dashboard.trace import JUDGE_TOKENS
from evals import sent_questions
from evals.judges.offline import OFFLINE_MODEL
from evals.sent_questions import SentQuestion
from evals.transcript.transcript import Transcript


@dataclass(frozen=True, slots=True)
class JudgeView:
    """`text` is the trace, with which every prompt begins; `questions` follow it.

    `truncated`: the trace did not fit into `tokens`. `budget_known`: the score states `tokens`.
    `was_sent`: the score has hashes of prompts. `is_same`: these are the hashes of this text.
    """

    text: str
    questions: list[SentQuestion]
    truncated: bool
    tokens: int
    budget_known: bool
    was_sent: bool
    is_same: bool
    by_rules: bool


def of_score(name: str, judge: Mapping[str, Any], transcript: Transcript) -> JudgeView:
    """`judge` is the entry about the judge in the metadata of the score."""
    recorded = judge.get("input_tokens")
    tokens = recorded if isinstance(recorded, int) else JUDGE_TOKENS
    written = transcript.prompt(tokens)
    sent = sent_questions.of_score(name, judge, transcript, tokens)
    return JudgeView(
        text=written.text,
        questions=sent,
        truncated=written.truncated,
        tokens=tokens,
        budget_known=tokens == recorded,
        was_sent=bool(judge.get("prompts")),
        is_same=bool(sent) and all(one.is_same for one in sent),
        by_rules=judge.get("model") == OFFLINE_MODEL,
    )
