"""The providers a judge can come from, and what each needs in the worker's environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from core.errors import JudgeUnusable
from core.model_names import provider_of
from evals.judge import ProviderStatus

OFFLINE_MODEL = "offline/rules"


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """How a worker judges, as its settings say.

    `api_base` is where the provider of `model` is served, for every model of that
    provider. `timeout_seconds` bounds one call. `environment` holds the provider
    variables; None: those of the process.
    """

    model: str | None = None
    api_base: str | None = None
    timeout_seconds: float = 60.0
    concurrency: int = 100
    input_tokens: int | None = None
    embedding_model: str = "local/wordllama"
    environment: Mapping[str, str] | None = None

    @property
    def ask_seconds(self) -> float:
        """The longest one question takes, with every repair and every second try."""
        return 2 * self.timeout_seconds


@dataclass(frozen=True, slots=True)
class Provider:
    """`variables`: all groups are needed, one name of each group is enough.

    `route` is LiteLLM's prefix where it differs from the key. `package` must be
    installed beside LiteLLM. `local`: a server of the user's own, whose address is
    the first variable; `path` is where it speaks the protocol of its route.
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

    def missing(self, environment: Mapping[str, str]) -> list[str]:
        return [
            " or ".join(group)
            for group in self.variables
            if not any(environment.get(name) for name in group)
        ]

    def address(self, environment: Mapping[str, str], api_base: str | None) -> str | None:
        """Where it is served, when that is not for LiteLLM to know."""
        base = api_base or (environment.get(self.variables[0][0]) if self.local else None)
        return base.rstrip("/").removesuffix(self.path) + self.path if base else None

    def api_key(self, environment: Mapping[str, str]) -> str | None:
        """The credential, where it is all this provider takes; LiteLLM reads the others itself."""
        if self.local:
            return environment.get(f"{self.key.upper()}_API_KEY")
        if len(self.variables) != 1:
            return None
        names = [name for name in self.variables[0] if name.endswith("_KEY")]
        return next((environment[name] for name in names if environment.get(name)), None)


def _keyed(
    key: str, name: str, variable: str, default_model: str, description: str = ""
) -> Provider:
    return Provider(key, name, description or f"Models of {name}.", ((variable,),), default_model)


PROVIDERS: tuple[Provider, ...] = (
    _keyed("openai", "OpenAI", "OPENAI_API_KEY", "openai/gpt-5.4-mini", "GPT and o-series models."),
    _keyed(
        "anthropic", "Anthropic", "ANTHROPIC_API_KEY", "anthropic/claude-haiku-4-5",
        "Claude models.",
    ),
    Provider(
        "gemini", "Google Gemini", "Gemini models by API key.",
        (("GEMINI_API_KEY", "GOOGLE_API_KEY"),), "gemini/gemini-3.5-flash-lite",
    ),
    _keyed("mistral", "Mistral", "MISTRAL_API_KEY", "mistral/mistral-small-latest"),
    _keyed("deepseek", "DeepSeek", "DEEPSEEK_API_KEY", "deepseek/deepseek-chat"),
    _keyed("xai", "xAI", "XAI_API_KEY", "xai/grok-4.3", "Grok models."),
    _keyed("groq", "Groq", "GROQ_API_KEY", "groq/openai/gpt-oss-120b", "Open models on Groq."),
    _keyed(
        "cerebras", "Cerebras", "CEREBRAS_API_KEY", "cerebras/gpt-oss-120b",
        "Open models on Cerebras.",
    ),
    _keyed(
        "together_ai", "Together AI", "TOGETHERAI_API_KEY", "together_ai/openai/gpt-oss-120b",
        "Open models on Together AI.",
    ),
    _keyed(
        "fireworks_ai", "Fireworks AI", "FIREWORKS_AI_API_KEY",
        "fireworks_ai/accounts/fireworks/models/gpt-oss-120b", "Open models on Fireworks AI.",
    ),
    _keyed(
        "moonshot", "Moonshot AI", "MOONSHOT_API_KEY", "moonshot/kimi-k2.6", "Kimi models.",
    ),
    Provider(
        "cohere", "Cohere", "Command models.", (("COHERE_API_KEY", "CO_API_KEY"),),
        "cohere/command-a-03-2025", route="cohere_chat",
    ),
    _keyed(
        "openrouter", "OpenRouter", "OPENROUTER_API_KEY", "openrouter/openai/gpt-5-mini",
        "Models of many makers by one key.",
    ),
    Provider(
        "azure", "Azure OpenAI", "Deployments on Azure: azure/<deployment>.",
        (("AZURE_API_KEY",), ("AZURE_API_BASE",), ("AZURE_API_VERSION",)),
    ),
    Provider(
        "bedrock", "Amazon Bedrock", "Models on Bedrock: bedrock/<model id>.",
        (
            ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_BEARER_TOKEN_BEDROCK"),
            ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"),
        ),
        package="boto3",
    ),
    Provider(
        "vertex_ai", "Google Vertex AI", "Models on Vertex AI: vertex_ai/<model>.",
        (("VERTEXAI_PROJECT",), ("VERTEXAI_LOCATION",)), package="google.auth",
    ),
    Provider(
        "ollama", "Ollama", "Models on an Ollama server: ollama/<model>.",
        (("OLLAMA_API_BASE",),), route="openai", local=True, path="/v1",
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

OPENAI = "openai"
"""Servers of one's own speak its protocol."""

_BY_KEY = {provider.key: provider for provider in (*PROVIDERS, OFFLINE)}


@dataclass(frozen=True, slots=True)
class Model:
    """A model's name as a user writes it, taken apart."""

    name: str
    provider: Provider
    bare: str

    @property
    def route(self) -> str:
        """The name LiteLLM is called with."""
        return f"{self.provider.route or self.provider.key}/{self.bare}"


def find_model(name: str, *, served_here: bool = False) -> Model:
    """`provider/model`, or the bare name of a well-known family.

    With `served_here`, a name that says nothing of its provider is taken for one
    that a server with OpenAI's protocol knows. Raises JudgeUnusable.
    """
    found = provider_of(name, _BY_KEY, of_any_other=OPENAI if served_here else None)
    if found is None:
        prefix, slash, _ = name.partition("/")
        raise JudgeUnusable(
            f"No provider is known for the model {name!r}. Write it as <provider>/<model>, "
            f"with one of: {', '.join(sorted(_BY_KEY))}.",
            provider=prefix if slash else "",
        )
    key, bare = found
    return Model(name, _BY_KEY[key], bare)


def status_of(
    provider: Provider, environment: Mapping[str, str], api_base: str | None
) -> ProviderStatus:
    """`api_base`: where the settings say this provider is served, if they say so."""
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
    """The configured model, else that of the first provider with credentials, else the rules."""
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
    """Host and port alone: an address may carry a password or a key."""
    return re.sub(r"^\w+://(?:[^@/]*@)?([^/?#]+).*$", r"\1", api_base)
