"""A judge at the scripted server, in each of three protocols, through the real clients."""

from collections.abc import AsyncIterator, Callable

import pytest
from pydantic import BaseModel, Field

from evals.judges.protocol import Question
from evals.judges.registry import ConfiguredJudges, JudgeConfig, configured_judges
from tests.judge_server import JudgeServer

MODELS = ("openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash")
KEYS = {
    "OPENAI_API_KEY": "sk-test-0123456789abcdef",
    "ANTHROPIC_API_KEY": "sk-ant-test-0123456789",
    "GEMINI_API_KEY": "AIzaSyTest0123456789abcdefghijk",
}

WAYS = (*((model, "auto") for model in MODELS), (MODELS[0], "litellm"))
"""Each model with its usual client, and OpenAI's protocol also with LiteLLM's client."""

JudgesAt = Callable[..., ConfiguredJudges]


class Verdict(BaseModel):
    reason: str
    score: float = Field(ge=0, le=1)


QUESTION = Question("verdict", "<trace>the trace</trace>", "How good was it?", Verdict)
GOOD = {"reason": "It did what was asked.", "score": 0.75}


@pytest.fixture
def client() -> list[str]:
    """The client with which judges are built."""
    return ["auto"]


@pytest.fixture
async def judges_at(client: list[str]) -> AsyncIterator[JudgesAt]:
    """Builds the judges of one provider, served by a scripted server."""
    made: list[ConfiguredJudges] = []

    def build(server: JudgeServer, model: str, **config: float | int | str) -> ConfiguredJudges:
        base = server.address if model.startswith(("anthropic/", "gemini/")) else server.openai
        settings = {
            "timeout_seconds": 10.0,
            "environment": KEYS,
            "client": client[-1],
            **config,
        }
        made.append(configured_judges(JudgeConfig(model=model, api_base=base, **settings)))  # type: ignore[arg-type]  # each test names known settings
        return made[-1]

    yield build
    for judges in made:
        await judges.close()


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[0].split('/')[0]}-{way[1]}")
def model(request: pytest.FixtureRequest, client: list[str]) -> str:
    name, by = request.param
    client.append(by)
    return str(name)
