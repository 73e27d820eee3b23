"""The prompt of a judge can be written again from its score."""

import pytest

from evals import sent_questions
from evals.evaluation import Evaluation
from evals.sent_questions import SentQuestion
from evals.transcript.transcript import Transcript
from tests.evals import made
from tests.evals.test_bundle import THREE, judged, together
from tests.fakes import ScriptedJudge


def again(name: str, evaluation: Evaluation, transcript: Transcript) -> list[SentQuestion]:
    judge = evaluation.metadata["judge"]
    assert isinstance(judge, dict)
    tokens = judge["input_tokens"]
    assert isinstance(tokens, int)
    return sent_questions.of_score(name, judge, transcript, tokens)


@pytest.mark.parametrize("names", [THREE, ("tool_correctness",)])
async def test_the_prompt_of_a_score_is_written_again_to_the_letter(
    names: tuple[str, ...],
) -> None:
    judge = ScriptedJudge(input_tokens=3_000)
    evaluations = await together(judged(*names), judge)
    for name, evaluation in zip(names, evaluations, strict=True):
        found = again(name, evaluation, Transcript(made.conversation()))
        assert [one.trace + one.text for one in found] == judge.prompts
        assert all(one.is_same for one in found)
        assert set(found[0].metrics) == set(names)


async def test_a_trace_that_changed_is_told_from_what_the_judge_read() -> None:
    [evaluation] = await together(judged("tool_correctness"), ScriptedJudge())
    longer = Transcript(made.conversation(turns=3))
    found = again("tool_correctness", evaluation, longer)
    assert [one.is_same for one in found] == [False]


async def test_a_metric_that_asks_no_judge_has_no_question() -> None:
    assert sent_questions.of_score("coherence", {}, Transcript(made.conversation()), 1_000) == []
