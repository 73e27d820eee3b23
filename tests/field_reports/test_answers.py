"""Answers of providers in reported shapes, with their expected results."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import JudgeBusy, JudgeError, JudgeFailed, JudgeUnusable
from evals.judges.fault_meaning import RequestSent, judge_error
from evals.judges.fault_parsing import Fault
from evals.judges.http_transport import Response
from evals.judges.openai_client import reply_of
from evals.judges.registry import JudgeConfig, configured_judges
from tests.evals.judges.conftest import GOOD, KEYS, QUESTION, Verdict
from tests.judge_server import JudgeServer, Sends, Step, says

MODEL = "openai/some-model"
ERRORS: dict[str, type[JudgeError]] = {
    "busy": JudgeBusy,
    "failed": JudgeFailed,
    "unusable": JudgeUnusable,
}


def cases(*, texts: bool) -> Iterator[Any]:
    for path in sorted(Path(__file__).parent.glob("answers_*.json")):
        if (path.stem == "answers_texts") is texts:
            for case in json.loads(path.read_text(encoding="utf-8")):
                yield pytest.param(case, id=f"{path.stem}-{case['name']}")


def sent(step: dict[str, Any]) -> Sends:
    body = step["text"] if "text" in step else json.dumps(step["body"])
    return Sends(step["status"], body, step["headers"])


@pytest.mark.parametrize("case", list(cases(texts=False)))
def test_an_error_ends_in_the_right_drawer(case: dict[str, Any]) -> None:
    step = sent(case["step"])
    response = Response(step.status, step.headers, (step.body or "").encode())
    with pytest.raises(Fault) as caught:
        reply_of(response, lambda _: None)
    check(judge_error(caught.value, RequestSent("openai", "OpenAI", MODEL)), case)


@pytest.mark.parametrize("case", list(cases(texts=True)))
async def test_an_answer_is_read_or_ends_in_the_right_drawer(case: dict[str, Any]) -> None:
    script: list[Step] = [sent(case["step"])] * case.get("times", 1)
    async with JudgeServer([*script, says(GOOD)]) as server:
        judges = configured_judges(
            JudgeConfig(model=MODEL, api_base=server.openai, environment=KEYS)
        )
        try:
            judgement = await judges.judge(MODEL).ask(QUESTION)
        except JudgeError as error:
            check(error, case)
        else:
            assert case["outcome"] == "answered"
            assert judgement.answer == Verdict.model_validate(GOOD)
            assert len(server.requests) == case["calls"]
        finally:
            await judges.close()


def check(error: JudgeError, case: dict[str, Any]) -> None:
    assert type(error) is ERRORS[case["outcome"]]
    assert case["says"] in error.message
    for field in ("retry_after", "rate_limited", "unmistakable"):
        if field in case:
            assert getattr(error, field) == case[field]


async def test_a_prompt_that_no_wait_shortens_is_cut_for_later_traces() -> None:
    long = replace(QUESTION, trace="word " * 16_000)
    overflow = {"error": {"code": 400, "message": "exceeds the available context size",
                          "type": "exceed_context_size_error", "n_ctx": 8192}}  # fmt: skip
    limited = {"error": {"message": "Too many tokens, please wait before trying again."}}
    script = [Sends(429, json.dumps(limited)), Sends(200, json.dumps(overflow))]
    async with JudgeServer(script) as server:
        judges = configured_judges(
            JudgeConfig(model=MODEL, api_base=server.openai, environment=KEYS)
        )
        judge = judges.judge(MODEL)
        whole = judge.input_tokens
        with pytest.raises(JudgeBusy, match="limits the rate"):
            await judge.ask(long)
        assert judge.input_tokens == whole
        with pytest.raises(JudgeBusy, match="is cut to"):
            await judge.ask(long)
        assert judge.input_tokens < 8192
        await judges.close()
