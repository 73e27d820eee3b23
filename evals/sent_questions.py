"""Writes the questions behind a stored score again, and compares them with the sent questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from evals import catalog, questions
from evals.judges.protocol import Question
from evals.metric import JudgedMetric
from evals.questions import Group
from evals.transcript.transcript import Transcript

_UNKNOWN_ANSWER_TOKENS: Final = 8_192
"""The maximum tokens of an answer, for scores that do not state the maximum."""

_DIGEST_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True)
class SentQuestion:
    """The prompt consists of `trace` and `text`.

    `is_same`: the score has the hash of exactly this prompt.
    """

    metrics: tuple[str, ...]
    trace: str
    text: str
    is_same: bool


def digest(question: Question[Any]) -> str:
    """The hash of a prompt, in the form that scores keep."""
    prompt = question.prompt.encode("utf-8", "replace")
    return sha256(prompt).hexdigest()[:_DIGEST_CHARACTERS]


def of_score(
    name: str, judge: Mapping[str, Any], transcript: Transcript, input_tokens: int
) -> list[SentQuestion]:
    """The questions behind a score by the metric `name`.

    `judge` is the entry about the judge in the metadata of the score. Returns only the questions
    that are unchanged. If no question is unchanged, because the trace, the metric or the release
    changed, returns the questions of today. Empty for a metric that asks no judge.
    """
    metric = _judged(name)
    if metric is None:
        return []
    told = judge.get("answer_tokens")
    answer_tokens = told if isinstance(told, int) else _UNKNOWN_ANSWER_TOKENS
    together = [one for one in map(_judged, _names(judge.get("asked_with"))) if one is not None]
    groups = questions.plan(together or [metric], transcript.facts, answer_tokens)
    mine = [group for group in groups if any(part.metric is metric for part in group)]
    # If a part of a shared answer did not validate, the judge was asked about that part alone.
    alone = [(part,) for group in mine if len(group) > 1 for part in group if part.metric is metric]
    known = set(_names(judge.get("prompts")))
    made = [_sent(group, transcript, input_tokens, known) for group in (*mine, *alone)]
    return [one for one in made if one.is_same] or made[: len(mine)]


def _sent(group: Group, transcript: Transcript, tokens: int, known: set[str]) -> SentQuestion:
    question = questions.question(group, transcript, tokens)
    names = tuple(part.metric.name for part in group)
    return SentQuestion(names, question.trace, question.text, digest(question) in known)


def _judged(name: str) -> JudgedMetric[Any] | None:
    found = next((one for one in catalog.signal_metrics() if one.name == name), None)
    return found if isinstance(found, JudgedMetric) else None


def _names(stored: object) -> Sequence[str]:
    return [str(one) for one in stored] if isinstance(stored, list) else []
