"""For any name of a model, only the host of the named provider is resolved."""

import socket
from itertools import product

import pytest

from core.errors import JudgeError, JudgeUnusable
from core.model_names import is_listed, is_well_formed
from evals.judges.allowed_hosts import is_allowed
from evals.judges.judge_config import JudgeConfig
from evals.judges.provider_table import PROVIDERS
from evals.judges.registry import configured_judges
from tests.evals.judges.conftest import QUESTION

PREFIXES = [
    *(provider.key for provider in PROVIDERS),
    *("cohere_chat", "google", "ollama_chat", "huggingface", "litellm_proxy", "custom", "local"),
]
RESTS = [
    *("ordinary-model", "ft:gpt-3.5-turbo", "ft:davinci-002:me::id", "mistral-large-latest"),
    *("huggingface/a/b", "ollama/x", "responses/gpt-5", "openai/gpt-5", "a2a/agent", "custom/x"),
    *("../../../../evil", "x/../../evil", "x?api_base=http://evil.test", "x#y", "x%2e%2e/evil"),
    *("//evil.test/x", "x//y", "x\r\nHost: evil.test", "x y", "@evil.test/x", "http://evil.test"),
    *("arn:aws:bedrock:us-east-1:1:inference-profile/x", "x@evil.test", "x\\y", ".", "x/./y", ""),
]
CREDENTIAL_SERVERS = {"bedrock": ["169.254.169.254"], "vertex_ai": ["169.254.169.254"]}
"""Where a cloud provider's own library asks for the machine's credentials."""

NAMES = [f"{prefix}/{rest}" for prefix, rest in product(PREFIXES, RESTS)]
VALUES = {
    **{f"{key}_API_BASE": "http://served.test" for key in ("AZURE", "OLLAMA", "HOSTED_VLLM")},
    "LM_STUDIO_API_BASE": "http://served.test",
    "AZURE_API_VERSION": "2024-10-21",
}
KEYED = {
    name: VALUES.get(name, "a-key-of-0123456789")
    for provider in PROVIDERS
    for group in provider.variables
    for name in group
}


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records every host that a call tries to resolve. No host is found."""
    hosts: list[str] = []

    def refuse(host: str | bytes | None, *_: object, **__: object) -> object:
        hosts.append(host.decode() if isinstance(host, bytes) else host or "")
        raise socket.gaierror(socket.EAI_NONAME, "no network in this test")

    def refuse_connection(_self: socket.socket, address: object) -> None:
        hosts.append(str(address[0]) if isinstance(address, tuple) else str(address))
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse_connection)
    return hosts


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_name_leads_to_its_own_provider_or_nowhere(
    looked_up: list[str], prefix: str
) -> None:
    assert len(NAMES) > 600
    judges = configured_judges(JudgeConfig(environment=KEYED, timeout_seconds=2))
    try:
        for name in (name for name in NAMES if name.startswith(f"{prefix}/")):
            looked_up.clear()
            try:
                model = judges._usable(name)
            except JudgeUnusable:
                continue
            allowed = {*judges._address(model).hosts, *CREDENTIAL_SERVERS.get(prefix, ())}
            with pytest.raises(JudgeError):
                await judges.judge(name).ask(QUESTION)
            strangers = [host for host in looked_up if not is_allowed(host, allowed)]
            assert strangers == [], name
    finally:
        await judges.close()


@pytest.mark.parametrize(
    ("model", "provider", "fine"),
    [
        ("gpt-5.4-mini", "openai", True),
        ("ft:gpt-4o-mini:acme::A1", "openai", True),
        ("openai/gpt-oss-120b", "groq", True),
        ("accounts/fireworks/models/gpt-oss-120b", "fireworks_ai", True),
        ("meta-llama/Llama-3.3-70B-Instruct", "hosted_vllm", True),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "bedrock", True),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/x", "bedrock", True),
        ("llama3.2:3b", "ollama", True),
        ("deepseek/deepseek-chat-v3:free", "openrouter", True),
        ("ft:gpt-3.5-turbo", "anthropic", False),
        ("../x", "gemini", False),
        ("x?y", "gemini", False),
        ("x" * 300, "openai", False),
    ],
)
def test_names_that_providers_use_are_told_from_those_that_lead_elsewhere(
    model: str, provider: str, fine: bool
) -> None:
    assert is_well_formed(model, provider) is fine


@pytest.mark.parametrize(
    ("name", "listed", "allowed"),
    [
        ("openai/gpt-5", None, True),
        ("openai/gpt-5", "openai/gpt-5, mistral/*", True),
        ("mistral/any", "openai/gpt-5, mistral/*", True),
        ("openai/gpt-5-pro", "openai/gpt-5, mistral/*", False),
        ("openai/gpt-5", "", False),
    ],
)
def test_an_allow_list_has_names_and_whole_providers(
    name: str, listed: str | None, allowed: bool
) -> None:
    assert is_listed(name, listed) is allowed
