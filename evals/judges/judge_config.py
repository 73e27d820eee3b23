"""The configuration of judging in a worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """How a worker judges.

    `api_base` is the address of the provider of `model`, for every model of that provider.
    `timeout_seconds` limits one call. `client`: `auto` calls OpenAI's protocol directly and the
    rest through LiteLLM's client; `litellm` calls everything through LiteLLM's client.
    `environment` holds the provider variables; None stands for the environment of the process.
    """

    model: str | None = None
    api_base: str | None = None
    timeout_seconds: float = 60.0
    concurrency: int = 100
    input_tokens: int | None = None
    embedding_model: str = "local/wordllama"
    client: Literal["auto", "litellm"] = "auto"
    environment: Mapping[str, str] | None = None

    @property
    def ask_seconds(self) -> float:
        """The longest duration of one question, including repairs and repetitions."""
        return 2 * self.timeout_seconds
