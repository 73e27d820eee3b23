"""Every setting of Assay, read from `ASSAY_*` variables and `.env`.

Only the roots (`api.app`, `worker`, `cli`) build a Settings and hand parts of it
down; importing a module reads nothing. Temporal's own variables
(`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, …) are read by `core.temporal`.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import Misconfigured


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="ASSAY_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # which may be a key
    )

    home: Path = Field(Path(".assay"), description="State of the embedded stack.")
    database_url: str | None = Field(
        None, description="SQLite or PostgreSQL URL; SQLite under the home folder when unset."
    )
    auto_migrate: bool = Field(
        True,
        description="Bring the schema up to date at start; false: refuse to start on an old one.",
    )

    api_host: str = Field("127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(8000, ge=0, le=65535, description="Port the API listens on.")
    temporal_port: int = Field(
        7233, ge=1, le=65535, description="Port of the embedded Temporal server."
    )
    temporal_ui_port: int = Field(
        8233, ge=1, le=65535, description="Port of the embedded Temporal UI."
    )
    task_queue: str = Field(
        "assay",
        min_length=1,
        description="Task queue of workflows; judge calls use `<name>-judge`.",
    )

    bootstrap_api_key: SecretStr | None = Field(
        None, min_length=16, description="API key made at start when absent."
    )
    bootstrap_project: str = Field(
        "default", min_length=1, max_length=128, description="Project made at start when absent."
    )
    max_body_bytes: int = Field(
        10 * 1024 * 1024, ge=1024, description="Largest request body; a larger one answers 413."
    )
    rate_limit_per_second: float | None = Field(
        None,
        gt=0,
        description="Requests a second one API key may make of one API process; unlimited when "
        "unset.",
    )
    rate_limit_burst: int | None = Field(
        None, ge=1, description="Requests it may make at once; those of one second when unset."
    )
    cors_origins: str | None = Field(
        None,
        description="Origins whose web pages may call the API, separated by commas; none when "
        "unset.",
    )
    resolve_wait_seconds: float = Field(
        1.0, ge=0, le=10, description="How long POST of a run waits for its traces to be resolved."
    )

    judge_model: str | None = Field(
        None,
        description="Default judge, a LiteLLM model name; chosen from the keys found when unset.",
    )
    judge_api_base: str | None = Field(
        None, description="Address of an OpenAI-compatible server for the default judge."
    )
    judge_timeout_seconds: float = Field(
        60.0, gt=0, le=300, description="Longest wait for one answer of the judge."
    )
    judge_concurrency: int = Field(
        100,
        ge=1,
        le=2000,
        description="Judge calls one worker process has open at a provider at once; it works on "
        "twice as many pairs.",
    )
    judge_max_per_second: float | None = Field(
        None,
        gt=0,
        description="Judge activities started a second over all workers; unlimited when unset.",
    )
    judge_input_tokens: int | None = Field(
        None,
        ge=1000,
        description="Input budget of the judge in tokens; when unset the model's own, or what a "
        "window of 32,000 leaves where LiteLLM knows nothing of the model.",
    )
    embedding_model: str = Field(
        "local/wordllama", description="Embedding model: `local/wordllama` or a LiteLLM model."
    )

    shutdown_grace_seconds: float = Field(
        90.0, ge=0, description="How long a stopping worker lets judge calls in flight finish."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe log line written."
    )

    @classmethod
    def read(cls) -> Self:
        """From the environment. Raises Misconfigured, in a sentence that names the variable."""
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
        said = first["msg"]
        if first["type"] == "too_short":
            said = f"It must have at least {first['ctx']['min_length']} characters"
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise Misconfigured(f"ASSAY_{name}: {said}.")

    @property
    def database(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite:///{self.home / 'assay.db'}"
