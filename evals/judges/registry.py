"""The judges of a worker, by its settings and provider keys.

LiteLLM takes seconds and a hundred megabytes to load, so `evals.judges.clients`, which needs
LiteLLM, is imported when the first judge at a provider is built.
"""

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from core.errors import JudgeUnusable
from core.provider_status import ThrottleStatus
from evals.judges.embeddings import LOCAL_MODEL, CachedEmbedder, WordLlama
from evals.judges.fault_meaning import RequestSent
from evals.judges.judge_config import JudgeConfig
from evals.judges.offline import OFFLINE_MODEL, RulesJudge
from evals.judges.protocol import Embedder, Judge, ProviderStatus
from evals.judges.provider_table import (
    OFFLINE,
    OPENAI,
    PROVIDERS,
    Model,
    Provider,
    ProviderAddress,
    address_of,
    default_model,
    find_model,
    status_of,
)
from evals.judges.rate_control import Ceiling, Throttle

if TYPE_CHECKING:
    from evals.judges.clients import Clients

__all__ = ["ConfiguredJudges", "JudgeConfig", "configured_judges"]

_CREDENTIAL = ("KEY", "TOKEN", "SECRET")


def configured_judges(config: JudgeConfig) -> "ConfiguredJudges":
    """LiteLLM's providers, and `offline/rules`."""
    environment = (
        os.environ  # noqa: TID251  only the worker's environment has credentials
        if config.environment is None
        else config.environment
    )
    return ConfiguredJudges(config, environment)


class ConfiguredJudges:
    def __init__(self, config: JudgeConfig, environment: Mapping[str, str]) -> None:
        self._config = config
        self._environment = environment
        self._default = default_model(config, environment)
        self._home = find_model(self._default, served_here=bool(config.api_base)).provider
        self._judges: dict[str, Judge] = {OFFLINE_MODEL: RulesJudge()}
        self._ceilings: defaultdict[str, Ceiling] = defaultdict(lambda: Ceiling(config.concurrency))
        self._throttles: dict[tuple[str, str], Throttle] = {}
        self._embedder: Embedder | None = None
        self._clients: Clients | None = None

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
        """Loads LiteLLM, if any provider is usable, so that no run waits for the import."""
        if any(status.available for status in self.providers() if status.key != OFFLINE.key):
            self._loaded()

    async def close(self) -> None:
        """Closes all connections to providers. No call may be open."""
        if self._clients is not None:
            await self._clients.close()

    def providers(self) -> list[ProviderStatus]:
        return [self._status(provider) for provider in (*PROVIDERS, OFFLINE)]

    def _api_base(self, provider: Provider) -> str | None:
        return self._config.api_base if provider == self._home else None

    def _status(self, provider: Provider) -> ProviderStatus:
        status = status_of(provider, self._environment, self._api_base(provider))
        return replace(status, any_name=self._serves_any_name and provider.key == OPENAI)

    @property
    def _serves_any_name(self) -> bool:
        """Whether a server of the user may serve names without a known provider."""
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

    def _sent(self, model: Model) -> RequestSent:
        secrets = [
            value
            for name, value in self._environment.items()
            if value and any(word in name.upper() for word in _CREDENTIAL)
        ]
        api_base = self._api_base(model.provider)
        name = f"The server at {address_of(api_base)}" if api_base else model.provider.name
        served_at = self._address(model).base or ""
        address = "" if served_at == model.provider.base else served_at
        return RequestSent(model.provider.key, name, model.name, secrets=secrets, address=address)

    def _address(self, model: Model) -> ProviderAddress:
        return model.provider.address(self._environment, self._api_base(model.provider))

    def throttles(self) -> list[ThrottleStatus]:
        found = (throttle.status(name) for (_, name), throttle in self._throttles.items())
        return [status for status in found if status is not None]

    def _throttle(self, model: Model) -> Throttle:
        """The rate control of a model, which is the same for its name with and without the
        provider.
        """
        provider = model.provider.key
        key = (provider, model.bare)
        if key not in self._throttles:
            self._throttles[key] = Throttle(
                self._ceilings[provider], provider=provider, name=model.name
            )
        return self._throttles[key]

    def _built(self, model: Model) -> Judge:
        return self._loaded().judge(
            model, self._address(model), self._sent(model), self._throttle(model)
        )

    def _built_embedder(self, name: str) -> Embedder:
        if name == LOCAL_MODEL:
            return CachedEmbedder(name, WordLlama().embed)
        model = self._usable(name)
        embed = self._loaded().embed(
            model, self._address(model), self._sent(model), self._throttle(model)
        )
        return CachedEmbedder(name, embed)

    def _loaded(self) -> "Clients":
        from evals.judges.clients import Clients

        if self._clients is None:
            self._clients = Clients(self._config)
        return self._clients
