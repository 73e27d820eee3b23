"""Everything a worker can judge with, by its settings and the keys it finds.

LiteLLM takes seconds and a hundred megabytes to load, so it is loaded for those
who use it: `evals.providers` is imported when the first of its judges is built.
"""

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType

from core.errors import JudgeUnusable
from evals.embeddings import LOCAL_MODEL, CachedEmbedder, WordLlama
from evals.judge import Embedder, Judge, ProviderStatus
from evals.provider_errors import Asked
from evals.provider_table import (
    OFFLINE,
    OPENAI,
    PROVIDERS,
    JudgeConfig,
    Model,
    Provider,
    address_of,
    default_model,
    find_model,
    status_of,
)
from evals.rules import OFFLINE_MODEL, RulesJudge
from evals.throttle import Throttle

__all__ = ["ConfiguredJudges", "JudgeConfig", "configured_judges"]

_NO_KEY = "none"
_CREDENTIAL = ("KEY", "TOKEN", "SECRET")


def configured_judges(config: JudgeConfig) -> "ConfiguredJudges":
    """LiteLLM's providers, and `offline/rules`."""
    environment = os.environ if config.environment is None else config.environment  # noqa: TID251  credentials live in the worker's environment alone
    return ConfiguredJudges(config, environment)


class ConfiguredJudges:
    def __init__(self, config: JudgeConfig, environment: Mapping[str, str]) -> None:
        self._config = config
        self._environment = environment
        self._default = default_model(config, environment)
        self._home = find_model(self._default, served_here=bool(config.api_base)).provider
        self._judges: dict[str, Judge] = {OFFLINE_MODEL: RulesJudge()}
        self._throttles: defaultdict[str, Throttle] = defaultdict(
            lambda: Throttle(most=config.concurrency)
        )
        self._embedder: Embedder | None = None
        self._gateway: ModuleType | None = None

    @property
    def default_model(self) -> str:
        return self._default

    def judge(self, model: str) -> Judge:
        if model not in self._judges:
            self._judges[model] = self._built(self._usable(model))
        return self._judges[model]

    def embedder(self) -> Embedder:
        if self._embedder is None:
            self._embedder = self._built_embedder(self._config.embedding_model)
        return self._embedder

    def load(self) -> None:
        """Loads LiteLLM now, where any provider may be asked: not in the middle of a run."""
        if any(status.available for status in self.providers() if status.key != OFFLINE.key):
            self._providers()

    async def close(self) -> None:
        """Closes every connection to a provider. No call may be in flight."""
        if self._gateway is not None:
            await self._gateway.close()

    def providers(self) -> list[ProviderStatus]:
        return [self._status(provider) for provider in (*PROVIDERS, OFFLINE)]

    def _api_base(self, provider: Provider) -> str | None:
        return self._config.api_base if provider == self._home else None

    def _status(self, provider: Provider) -> ProviderStatus:
        status = status_of(provider, self._environment, self._api_base(provider))
        return replace(status, any_name=self._serves_any_name and provider.key == OPENAI)

    @property
    def _serves_any_name(self) -> bool:
        """Whether a server of the user's own may know names that say nothing of their provider."""
        return bool(self._config.api_base) and self._home.key == OPENAI

    def _usable(self, name: str) -> Model:
        model = find_model(name, served_here=self._serves_any_name)
        status = self._status(model.provider)
        if model.provider == OFFLINE:
            raise JudgeUnusable(
                f"There is no model {name!r}: {OFFLINE_MODEL} is the only one without a provider.",
                provider=OFFLINE.key,
            )
        if not status.available:
            raise JudgeUnusable(
                f"{model.provider.name} cannot be used for {name!r}: {status.message}",
                provider=model.provider.key,
            )
        return model

    def _asked(self, model: Model) -> Asked:
        secrets = [
            value
            for name, value in self._environment.items()
            if value and any(word in name.upper() for word in _CREDENTIAL)
        ]
        api_base = self._api_base(model.provider)
        name = f"The server at {address_of(api_base)}" if api_base else model.provider.name
        return Asked(model.provider.key, name, model.name, secrets=secrets)

    def _address(self, model: Model) -> dict[str, object]:
        """Where, and as whom, LiteLLM calls this model."""
        api_base = model.provider.address(self._environment, self._api_base(model.provider))
        key = model.provider.api_key(self._environment)
        address: dict[str, object] = {"model": model.route}
        if api_base:
            address["api_base"] = api_base
        if key or api_base:
            address["api_key"] = key or _NO_KEY
        return address

    def _built(self, model: Model) -> Judge:
        judge: Judge = self._providers().judge(
            model,
            self._address(model),
            self._asked(model),
            self._config,
            self._throttles[model.provider.key],
        )
        return judge

    def _built_embedder(self, name: str) -> Embedder:
        if name == LOCAL_MODEL:
            return CachedEmbedder(name, WordLlama().embed)
        model = self._usable(name)
        embed = self._providers().Embedding(
            self._address(model), self._asked(model), self._config.timeout_seconds
        )
        return CachedEmbedder(name, embed)

    def _providers(self) -> ModuleType:
        from evals import providers

        self._gateway = providers
        return providers
