"""The API accepts exactly the models that a worker can use."""

import pytest

from api.runs import model_choice
from core import clock
from core.db.database import Database
from core.errors import Invalid, JudgeUnusable
from core.queries import workers
from evals.judges.provider_table import find_model
from evals.judges.registry import ConfiguredJudges, JudgeConfig, configured_judges

KEYS = {"OPENAI_API_KEY": "one", "MISTRAL_API_KEY": "two"}
OWN_SERVER = "http://127.0.0.1:8080/v1"

CONFIGS = {
    "no key": JudgeConfig(environment={}),
    "keys": JudgeConfig(environment=KEYS),
    "a server of one's own": JudgeConfig(model="mock-1", api_base=OWN_SERVER, environment={}),
    "its model's name has a slash": JudgeConfig(
        model="Qwen/Qwen3-8B", api_base=OWN_SERVER, environment={}
    ),
    "its model is of a family": JudgeConfig(
        model="mistral-small", api_base=OWN_SERVER, environment={}
    ),
    "another provider behind a gateway": JudgeConfig(
        model="anthropic/claude-haiku-4-5", api_base=OWN_SERVER, environment={}
    ),
}
NAMES = (
    *("mock-1", "Qwen/Qwen3-8B", "mistral-small", "mistral/mistral-small", "gpt-5", "openai/x"),
    *("claude-haiku-4-5", "anthropic/claude-haiku-4-5", "google/gemini-2.5-pro", "grok-4"),
    *("offline/rules", "nobody/knows", "openai/", "ollama_chat/llama3:8b"),
)


def can_judge(judges: ConfiguredJudges, name: str) -> bool:
    try:
        judges.judge(name)
    except JudgeUnusable:
        return False
    return True


async def lets_pass(database: Database, name: str) -> bool:
    async with database.read() as db:
        try:
            model_choice.check_offered(await workers.offered(db), name)
        except Invalid:
            return False
    return True


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
async def test_the_api_and_the_worker_read_every_name_alike(
    sqlite: Database, config: JudgeConfig
) -> None:
    judges = configured_judges(config)
    async with sqlite.write() as db:
        await workers.publish(
            db,
            worker_id="w",
            started_at=clock.now(),
            default_model=judges.default_model,
            providers=judges.providers(),
        )
    passed = {name for name in NAMES if await lets_pass(sqlite, name)}
    assert passed == {name for name in NAMES if can_judge(judges, name)}
    assert await lets_pass(sqlite, judges.default_model)


@pytest.mark.parametrize(
    ("name", "provider"), [("grok-4", "xai"), ("google/gemini-2.5-pro", "gemini")]
)
def test_families_and_other_names_of_providers_are_known(name: str, provider: str) -> None:
    assert find_model(name).provider.key == provider
