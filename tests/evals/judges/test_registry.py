"""The providers of a worker, and the judge for a model's name."""

from importlib import import_module
from typing import Any

import pytest

from core.errors import JudgeUnusable
from evals.judges.provider_table import PROVIDERS, find_model
from evals.judges.registry import JudgeConfig, configured_judges
from tests.evals.judges.conftest import KEYS, QUESTION, JudgesAt
from tests.judge_server import JudgeServer


def test_without_any_key_the_rules_judge() -> None:
    judges = configured_judges(JudgeConfig(environment={}))
    assert judges.default_model == "offline/rules"
    assert judges.judge("offline/rules").model == "offline/rules"


def test_the_first_key_found_chooses_the_model() -> None:
    judges = configured_judges(JudgeConfig(environment={"ANTHROPIC_API_KEY": "k"}))
    assert judges.default_model.startswith("anthropic/claude-")


def test_the_setting_chooses_before_any_key() -> None:
    judges = configured_judges(JudgeConfig(model="mistral/mistral-small-latest", environment=KEYS))
    assert judges.default_model == "mistral/mistral-small-latest"


def test_every_provider_says_what_it_lacks_and_none_shows_a_credential() -> None:
    listed = {p.key: p for p in configured_judges(JudgeConfig(environment=KEYS)).providers()}
    assert listed["openai"].available
    assert listed["offline"].available
    assert listed["groq"].message == "Set GROQ_API_KEY in the worker's environment."
    assert not listed["bedrock"].available
    assert not any(key in str(listed) for key in KEYS.values())


def test_an_address_in_the_settings_needs_no_key_and_shows_no_password() -> None:
    config = JudgeConfig(
        model="openai/own", api_base="http://me:secret@gpu:8080/v1?key=hush", environment={}
    )
    listed = {p.key: p for p in configured_judges(config).providers()}
    assert listed["openai"].message == "Served at gpu:8080."


def test_answers_are_kept_apart_by_the_server_that_gave_them() -> None:
    def parameters(**settings: Any) -> str:
        judges = configured_judges(JudgeConfig(**{"environment": KEYS, **settings}))
        return judges.judge("openai/gpt-4o-mini").parameters

    at_home = parameters(model="openai/gpt-4o-mini", api_base="http://gpu:8080/v1")
    elsewhere = parameters(environment=KEYS | {"OPENAI_BASE_URL": "http://other:8080/v1"})
    assert parameters() == "temperature=0"
    assert len({parameters(), at_home, elsewhere}) == 3


def test_a_model_without_credentials_is_refused_by_the_name_of_the_variable() -> None:
    judges = configured_judges(JudgeConfig(environment={}))
    with pytest.raises(JudgeUnusable, match="Set GEMINI_API_KEY or GOOGLE_API_KEY") as caught:
        judges.judge("gemini/gemini-2.5-flash")
    assert caught.value.provider == "gemini"


@pytest.mark.parametrize("name", ["nobody/model", "my-model", "openai/", ""])
def test_a_model_of_no_known_provider_is_refused(name: str) -> None:
    with pytest.raises(JudgeUnusable, match="No provider is known"):
        configured_judges(JudgeConfig(environment=KEYS)).judge(name)


def test_the_rules_are_the_only_model_without_a_provider() -> None:
    with pytest.raises(JudgeUnusable, match="offline/rules"):
        configured_judges(JudgeConfig(environment={})).judge("offline/magic")


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("gpt-4o", "openai"),
        ("o3-mini", "openai"),
        ("claude-haiku-4-5", "anthropic"),
        ("gemini-2.5-pro", "gemini"),
        ("ollama/llama3:8b", "ollama"),
        ("openrouter/openai/gpt-5-mini", "openrouter"),
    ],
)
def test_names_are_read_as_people_write_them(name: str, provider: str) -> None:
    assert find_model(name).provider.key == provider


def test_every_default_model_is_in_the_model_data() -> None:
    # It sets variables that LiteLLM reads at its import.
    import_module("evals.judges.litellm_library")
    prices = import_module("litellm").model_cost
    for provider in PROVIDERS:
        if provider.default_model is not None and provider.key != "openrouter":
            bare = provider.default_model.partition("/")[2]
            assert {provider.default_model, bare} & prices.keys(), provider.key


async def test_a_bare_name_means_the_server_in_the_settings(judges_at: JudgesAt) -> None:
    async with JudgeServer() as server:
        judge = judges_at(server, "llama-3.2-3b").judge("llama-3.2-3b")
        await judge.ask(QUESTION)
    assert judge.model == "llama-3.2-3b"
    assert server.requests[0].body["model"] == "llama-3.2-3b"
    assert server.requests[0].headers["authorization"] == f"Bearer {KEYS['OPENAI_API_KEY']}"


async def test_ollama_is_asked_at_its_own_address(judges_at: JudgesAt) -> None:
    async with JudgeServer() as server:
        config = JudgeConfig(environment={"OLLAMA_API_BASE": f"{server.address}/"})
        judges = configured_judges(config)
        await judges.judge("ollama/qwen3:4b").ask(QUESTION)
        await judges.close()
    [request] = server.requests
    assert (request.path, request.mode) == ("/v1/chat/completions", "schema")
    assert request.body["model"] == "qwen3:4b"


async def test_the_key_of_the_environment_reaches_its_provider_alone(
    judges_at: JudgesAt, model: str
) -> None:
    async with JudgeServer() as server:
        await judges_at(server, model).judge(model).ask(QUESTION)
    sent = str(server.requests[0].headers)
    key = KEYS[f"{model.split('/')[0].upper()}_API_KEY"]
    assert key in sent
    assert not any(other in sent for other in KEYS.values() if other != key)


def test_a_provider_with_several_variables_is_left_to_litellm() -> None:
    names = ("AZURE_API_KEY", "AZURE_API_BASE", "AZURE_API_VERSION")
    judges = configured_judges(JudgeConfig(environment=dict.fromkeys(names, "set")))
    assert judges.judge("azure/deployment").model == "azure/deployment"


def test_judges_are_kept_so_that_what_they_learned_is() -> None:
    judges = configured_judges(JudgeConfig(environment=KEYS))
    assert judges.judge("gpt-4o-mini") is judges.judge("gpt-4o-mini")
