"""The providers of judges, and the variables that each needs in the worker's environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

from core.errors import JudgeUnusable
from core.model_names import provider_of
from evals.judges.allowed_hosts import host_of
from evals.judges.judge_config import JudgeConfig
from evals.judges.protocol import ProviderStatus

OFFLINE_MODEL = "offline/rules"


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of judges.

    `variables`: each group needs one of its names. `route` is LiteLLM's prefix if it differs from
    the key. `package` must be installed in addition to LiteLLM. `local`: a server of the user,
    whose address is the first variable; `path` is the path of its API. `base` is the provider's
    address; None if the address depends on a region, and then `domain` covers every host that calls
    may reach. `embed_base`: the address of embeddings, if different. `openai_protocol`: the
    provider supports OpenAI's chat protocol.
    """

    key: str
    name: str
    description: str
    variables: tuple[tuple[str, ...], ...]
    default_model: str | None = None
    route: str | None = None
    package: str | None = None
    local: bool = False
    path: str = ""
    base: str | None = None
    embed_base: str | None = None
    domain: str | None = None
    openai_protocol: bool = True

    def missing(self, environment: Mapping[str, str]) -> list[str]:
        return [
            " or ".join(group)
            for group in self.variables
            if not any(environment.get(name) for name in group)
        ]

    def address(self, environment: Mapping[str, str], api_base: str | None) -> "ProviderAddress":
        """The address and credential of the provider's models.

        `api_base`: the address in the settings.
        """
        upper = self.key.upper()
        elsewhere = (environment.get(f"{upper}_{name}") for name in ("API_BASE", "BASE_URL"))
        base = api_base or next((found for found in elsewhere if found), None)
        if self.local and base:
            base = base.rstrip("/").removesuffix(self.path) + self.path
        key = self.api_key(environment)
        if key is None and base is not None:
            key = _NO_KEY
        embed_base = base or self.embed_base
        base = base or self.base
        return ProviderAddress(
            base=base,
            embed_base=embed_base or base,
            key=key,
            hosts=frozenset(filter(None, (host_of(base or ""), self.domain))),
            api_version=environment.get(f"{upper}_API_VERSION", ""),
        )

    def api_key(self, environment: Mapping[str, str]) -> str | None:
        """The credential, if it is a single key; LiteLLM reads other credentials itself."""
        if self.local:
            return environment.get(f"{self.key.upper()}_API_KEY")
        names = [name for name in self.variables[0] if name.endswith("_API_KEY")]
        return next((environment[name] for name in names if environment.get(name)), None)


@dataclass(frozen=True, slots=True)
class ProviderAddress:
    """The address and key of a model. `hosts`: the only hosts that calls may reach."""

    base: str | None
    key: str | None = field(repr=False)
    hosts: frozenset[str]
    api_version: str = ""
    embed_base: str | None = None

    @property
    def host(self) -> str:
        return host_of(self.base or "")

    def for_litellm(self, model: "Model") -> dict[str, Any]:
        """The arguments for LiteLLM, which would otherwise guess provider and address from the
        model's name.
        """
        arguments = {
            "model": model.route,
            "custom_llm_provider": model.litellm_provider,
            "api_base": self.base,
            "api_key": self.key,
            "api_version": self.api_version,
        }
        return {name: value for name, value in arguments.items() if value}

    def of_embeddings(self) -> "ProviderAddress":
        return replace(self, base=self.embed_base)


def _keyed(key: str, name: str, base: str, default_model: str, description: str = "") -> Provider:
    """A provider with one API key, in the variable named after the provider."""
    variables = ((f"{key.upper()}_API_KEY",),)
    description = description or f"Models of {name}."
    return Provider(key, name, description, variables, default_model, base=base)


OPENAI = "openai"
"""Servers of users support this provider's protocol."""
AZURE = "azure"
OPENROUTER = "openrouter"
_NO_KEY = "none"

PROVIDERS: tuple[Provider, ...] = (
    _keyed(
        OPENAI, "OpenAI", "https://api.openai.com/v1", "openai/gpt-5.4-mini",
        "GPT and o-series models.",
    ),
    Provider(
        "anthropic", "Anthropic", "Claude models.", (("ANTHROPIC_API_KEY",),),
        "anthropic/claude-haiku-4-5", base="https://api.anthropic.com", openai_protocol=False,
    ),
    Provider(
        "gemini", "Google Gemini", "Gemini models by API key.",
        (("GEMINI_API_KEY", "GOOGLE_API_KEY"),), "gemini/gemini-3.5-flash-lite",
        base="https://generativelanguage.googleapis.com/v1beta", openai_protocol=False,
    ),
    _keyed(
        "mistral", "Mistral", "https://api.mistral.ai/v1",
        "mistral/mistral-small-latest",
    ),
    _keyed(
        "deepseek", "DeepSeek", "https://api.deepseek.com/beta",
        "deepseek/deepseek-chat",
    ),
    _keyed(
        "xai", "xAI", "https://api.x.ai/v1", "xai/grok-4.3", "Grok models.",
    ),
    _keyed(
        "groq", "Groq", "https://api.groq.com/openai/v1",
        "groq/openai/gpt-oss-120b", "Open models on Groq.",
    ),
    _keyed(
        "cerebras", "Cerebras", "https://api.cerebras.ai/v1",
        "cerebras/gpt-oss-120b", "Open models on Cerebras.",
    ),
    Provider(
        "together_ai", "Together AI", "Open models on Together AI.", (("TOGETHERAI_API_KEY",),),
        "together_ai/openai/gpt-oss-120b", base="https://api.together.xyz/v1",
    ),
    _keyed(
        "fireworks_ai", "Fireworks AI",         "https://api.fireworks.ai/inference/v1",
        "fireworks_ai/accounts/fireworks/models/gpt-oss-120b", "Open models on Fireworks AI.",
    ),
    _keyed(
        "moonshot", "Moonshot AI", "https://api.moonshot.ai/v1",
        "moonshot/kimi-k2.6", "Kimi models.",
    ),
    Provider(
        "cohere", "Cohere", "Command models.", (("COHERE_API_KEY", "CO_API_KEY"),),
        "cohere/command-a-03-2025", route="cohere_chat", base="https://api.cohere.com/v2/chat",
        embed_base="https://api.cohere.com/v2/embed", openai_protocol=False,
    ),
    _keyed(
        OPENROUTER, "OpenRouter", "https://openrouter.ai/api/v1",
        "openrouter/openai/gpt-5-mini", "Models of many makers by one key.",
    ),
    Provider(
        AZURE, "Azure OpenAI", "Deployments on Azure: azure/<deployment>.",
        (("AZURE_API_KEY",), ("AZURE_API_BASE",), ("AZURE_API_VERSION",)),
    ),
    Provider(
        "bedrock", "Amazon Bedrock", "Models on Bedrock: bedrock/<model id>.",
        (
            ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_BEARER_TOKEN_BEDROCK"),
            ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"),
        ),
        package="boto3", domain=".amazonaws.com", openai_protocol=False,
    ),
    Provider(
        "vertex_ai", "Google Vertex AI", "Models on Vertex AI: vertex_ai/<model>.",
        (("VERTEXAI_PROJECT",), ("VERTEXAI_LOCATION",)), package="google.auth",
        domain=".googleapis.com", openai_protocol=False,
    ),
    Provider(
        "ollama", "Ollama", "Models on an Ollama server: ollama/<model>.",
        (("OLLAMA_API_BASE",),), route=OPENAI, local=True, path="/v1",
    ),
    Provider(
        "hosted_vllm", "vLLM", "Models on a vLLM server: hosted_vllm/<model>.",
        (("HOSTED_VLLM_API_BASE",),), local=True,
    ),
    Provider(
        "lm_studio", "LM Studio", "Models on an LM Studio server: lm_studio/<model>.",
        (("LM_STUDIO_API_BASE",),), local=True,
    ),
)  # fmt: skip

OFFLINE = Provider(
    "offline",
    "Offline rules",
    "A baseline that reads each trace's structure by fixed rules; it asks no model.",
    (),
    OFFLINE_MODEL,
    local=True,
)

_BY_KEY = {provider.key: provider for provider in (*PROVIDERS, OFFLINE)}


@dataclass(frozen=True, slots=True)
class Model:
    """The parts of a model's name as users write it."""

    name: str
    provider: Provider
    bare: str

    @property
    def route(self) -> str:
        """The name of the model for LiteLLM."""
        return f"{self.litellm_provider}/{self.bare}"

    @property
    def litellm_provider(self) -> str:
        return self.provider.route or self.provider.key


def find_model(name: str, *, served_here: bool = False) -> Model:
    """Finds `provider/model`, or the bare name of a well-known family.

    With `served_here`, a name without a known provider belongs to the user's server with OpenAI's
    protocol. Raises JudgeUnusable.
    """
    parts = provider_of(name, _BY_KEY, of_any_other=OPENAI if served_here else None)
    if parts is None:
        prefix, slash, _ = name.partition("/")
        raise JudgeUnusable(
            f"No provider is known for the model {name!r}. Write it as <provider>/<model>, "
            f"with one of: {', '.join(sorted(_BY_KEY))}.",
            provider=prefix if slash else "",
        )
    key, bare = parts
    return Model(name, _BY_KEY[key], bare)


def status_of(
    provider: Provider, environment: Mapping[str, str], api_base: str | None
) -> ProviderStatus:
    """`api_base`: the provider's address, if the settings have one."""
    missing = provider.missing(environment)
    if provider.package and not _installed(provider.package):
        available, message = False, f"Install the Python package {provider.package} in the worker."
    elif api_base:
        available, message = True, f"Served at {address_of(api_base)}."
    elif missing:
        available, message = False, f"Set {', '.join(missing)} in the worker's environment."
    else:
        found = [n for group in provider.variables for n in group if environment.get(n)]
        available, message = True, f"{', '.join(found)} found." if found else "Always available."
    return ProviderStatus(provider.key, provider.name, provider.description, available, message)


def default_model(config: JudgeConfig, environment: Mapping[str, str]) -> str:
    """The configured model, else the default model of the first provider with credentials, else the
    rules.
    """
    if config.model:
        return config.model
    usable = (p for p in PROVIDERS if p.default_model and status_of(p, environment, None).available)
    return next((p.default_model for p in usable if p.default_model), OFFLINE_MODEL)


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def address_of(api_base: str) -> str:
    """Host and port only, because an address may contain a password or a key."""
    return re.sub(r"^\w+://(?:[^@/]*@)?([^/?#]+).*$", r"\1", api_base)
