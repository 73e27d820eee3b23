"""A stalled, limited or failing model or provider does not delay a healthy one."""

import asyncio
from dataclasses import replace

import pytest

from core.errors import JudgeBusy
from evals.judges.protocol import Judge
from evals.judges.registry import ConfiguredJudges, JudgeConfig, configured_judges
from tests.evals.judges.conftest import KEYS, QUESTION, JudgesAt
from tests.judge_server import JudgeServer, Request, Step, fails, hangs, rate_limited

CALLS = 60
SICK = "openai/sick"
SICKNESSES = {
    "hung": hangs(),
    "limited": rate_limited(60),
    "failing": fails(500, "The server had an error"),
}


def only(sick: str, step: Step) -> JudgeServer:
    def script(request: Request) -> Step | None:
        return step if request.body["model"] == sick else None

    return JudgeServer(script, delay=0.01)


async def seconds(judge: Judge) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    questions = [replace(QUESTION, text=f"Question {number}?") for number in range(CALLS)]
    await asyncio.gather(*(judge.ask(question) for question in questions))
    return loop.time() - started


async def ask_on(judge: Judge, number: int) -> None:
    """A pair of a run. Asks, and asks again after the delay of each NoPermit."""
    while True:
        try:
            await judge.ask(replace(QUESTION, text=f"Sick question {number}?"))
        except JudgeBusy as error:
            await asyncio.sleep(error.retry_after or 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("sickness", SICKNESSES)
async def test_another_model_of_the_same_provider_takes_no_longer(
    judges_at: JudgesAt, sickness: str
) -> None:
    async with only("sick", SICKNESSES[sickness]) as server:
        judges = judges_at(server, SICK, concurrency=20)
        await beside(judges, judges.judge("openai/warm"), judges.judge("openai/well"))


@pytest.mark.slow
@pytest.mark.parametrize("sickness", SICKNESSES)
async def test_another_provider_takes_no_longer(sickness: str) -> None:
    async with only("sick", SICKNESSES[sickness]) as sick, JudgeServer(delay=0.01) as well:
        environment = {**KEYS, "HOSTED_VLLM_API_BASE": well.openai}
        config = JudgeConfig(
            model=SICK, api_base=sick.openai, concurrency=20, environment=environment
        )
        judges = configured_judges(config)
        model = "hosted_vllm/well"
        await beside(judges, judges.judge(model), judges.judge(model))
        await judges.close()


async def beside(judges: ConfiguredJudges, warm: Judge, healthy: Judge) -> None:
    await seconds(warm)
    alone = await seconds(warm)
    sick = [asyncio.create_task(ask_on(judges.judge(SICK), n)) for n in range(CALLS)]
    await asyncio.sleep(0.1)
    assert await seconds(healthy) <= 1.5 * alone + 0.5
    for task in sick:
        task.cancel()
    await asyncio.gather(*sick, return_exceptions=True)
