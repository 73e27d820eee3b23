"""No call reaches another host than its provider's, for any name of a model."""

import asyncio

import pytest

from evals.judges import allowed_hosts
from evals.judges.completion import ForbiddenHost
from evals.judges.litellm_client import LiteLlmCompletion
from evals.judges.openai_client import endpoint
from evals.judges.provider_table import PROVIDERS, find_model
from evals.judges.request_shape import ModelFacts, first_request_shape
from tests.evals.judges.conftest import Verdict
from tests.judge_server import JudgeServer

SHAPE = first_request_shape(ModelFacts())
MESSAGES = [{"role": "user", "content": "How good was it?"}]


@pytest.mark.parametrize("route", ["openai/own", "anthropic/claude-haiku-4-5", "gemini/any"])
async def test_litellm_reaches_no_host_that_is_not_allowed(route: str) -> None:
    async with JudgeServer() as server:
        address = {"model": route, "api_base": server.address, "api_key": "k"}
        complete = LiteLlmCompletion(address, {"api.openai.com"}, priced=False, timeout_seconds=5)
        with pytest.raises(ForbiddenHost):
            await complete(MESSAGES, SHAPE, Verdict)
    assert server.requests == []


async def test_hosts_are_allowed_in_the_tasks_of_the_block_and_nowhere_else() -> None:
    with allowed_hosts.only({"api.openai.com"}):
        await asyncio.create_task(checked("api.openai.com"))
        with pytest.raises(ForbiddenHost):
            await checked("api.anthropic.com")
    with pytest.raises(ForbiddenHost):
        await checked("api.openai.com")


async def checked(host: str) -> None:
    allowed_hosts.check(host)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("bedrock-runtime.eu-west-1.amazonaws.com", True),
        ("API.OpenAI.com.", True),
        ("amazonaws.com", False),
        ("evil-amazonaws.com", False),
        ("api.openai.com.evil.test", False),
        ("", False),
        (None, False),
    ],
)
def test_a_domain_stands_for_the_hosts_below_it(host: str | None, allowed: bool) -> None:
    hosts = {"api.openai.com", ".amazonaws.com"}
    assert allowed_hosts.is_allowed(host, hosts) is allowed


def test_an_endpoint_that_leads_elsewhere_is_refused() -> None:
    with pytest.raises(ForbiddenHost):
        endpoint("https://api.openai.com@evil.test/v1", {}, host="api.openai.com")


def test_every_provider_and_address_is_named_to_litellm() -> None:
    for provider in PROVIDERS:
        address = provider.address({}, None)
        told = address.for_litellm(find_model(f"{provider.key}/model"))
        assert told["custom_llm_provider"]
        served_elsewhere = provider.local or provider.key == "azure"
        assert served_elsewhere or address.hosts
        assert served_elsewhere or provider.domain or told["api_base"]


def test_a_variable_moves_a_provider_and_its_allowed_host() -> None:
    provider = find_model("openai/own").provider
    address = provider.address({"OPENAI_BASE_URL": "http://gateway:4000/v1"}, None)
    assert (address.base, address.hosts) == ("http://gateway:4000/v1", frozenset({"gateway"}))
