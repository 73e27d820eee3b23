"""Builds the judge of a model: its client, its address and its price."""

from dataclasses import dataclass, field
from urllib.parse import quote

from evals.judges import litellm_client, litellm_data
from evals.judges.completion import Complete
from evals.judges.embeddings import EmbedBatch
from evals.judges.fault_meaning import RequestSent
from evals.judges.http_transport import HttpTransport
from evals.judges.judge_config import JudgeConfig
from evals.judges.llm_judge import Patience, ProviderJudge
from evals.judges.openai_client import OpenAiCompletion, endpoint
from evals.judges.prices import unknown
from evals.judges.provider_table import AZURE, Model, ProviderAddress
from evals.judges.rate_control import Throttle


@dataclass(slots=True)
class Clients:
    """Holds a worker's connections to all providers."""

    config: JudgeConfig
    _transport: HttpTransport = field(default_factory=HttpTransport)

    def judge(
        self, model: Model, address: ProviderAddress, sent: RequestSent, throttle: Throttle
    ) -> ProviderJudge:
        config = self.config
        built = ProviderJudge(
            sent,
            litellm_data.facts(model),
            self._complete(model, address),
            throttle,
            Patience(call=config.timeout_seconds, question=config.ask_seconds),
        )
        if config.input_tokens:
            built.input_tokens = config.input_tokens
        return built

    def embed(
        self, model: Model, address: ProviderAddress, sent: RequestSent, throttle: Throttle
    ) -> EmbedBatch:
        return litellm_client.Embedding(
            address.of_embeddings().for_litellm(model),
            address.hosts,
            sent,
            throttle,
            self.config.timeout_seconds,
        )

    async def close(self) -> None:
        await self._transport.close()
        await litellm_client.close()

    def _complete(self, model: Model, address: ProviderAddress) -> Complete:
        price = litellm_data.price(model)
        if self.config.client == "auto" and address.host and litellm_data.speaks_openai(model):
            url, headers = _chat(model, address)
            return OpenAiCompletion(
                self._transport,
                endpoint(url, headers, host=address.host),
                litellm_data.dialect(model, address.api_version),
                price,
            )
        return litellm_client.LiteLlmCompletion(
            address.for_litellm(model),
            address.hosts,
            priced=price is not unknown,
            timeout_seconds=self.config.timeout_seconds,
        )


def _chat(model: Model, address: ProviderAddress) -> tuple[str, dict[str, str]]:
    """The URL of chat completions, and the headers with the key."""
    base = (address.base or "").rstrip("/")
    if model.provider.key != AZURE:
        url = base if base.endswith("/chat/completions") else f"{base}/chat/completions"
        return url, {"Authorization": f"Bearer {address.key}"}
    deployment = quote(model.bare, safe="")
    version = quote(address.api_version, safe="")
    path = f"/openai/deployments/{deployment}/chat/completions?api-version={version}"
    return base + path, {"api-key": address.key or ""}
