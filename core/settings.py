"""Every setting of Assay, read from `ASSAY_*` variables and `.env`.

Only the composition roots (`api.app`, `worker`, `cli`) build a Settings object and pass parts of it
on. Importing a module reads no setting. Temporal's own variables (`TEMPORAL_ADDRESS`,
`TEMPORAL_NAMESPACE`, …) are read by `core.temporal`.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import Misconfigured
from core.retention import MAX_RETENTION_DAYS, RetentionDays
from core.run_spec import OpenRunLimits, RunQuota

KeptDays = Annotated[int, Field(ge=1, le=MAX_RETENTION_DAYS)]
SettleSeconds = Annotated[float, Field(gt=0, le=2_592_000)]
GraceSeconds = Annotated[float, Field(ge=0, le=86_400)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="ASSAY_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # an error must not show the input, which may be a key
    )

    home: Path = Field(Path(".assay"), description="State of the embedded stack.")
    database_url: str | None = Field(
        None, description="SQLite or PostgreSQL URL; SQLite under the home folder when unset."
    )
    database_pool: int | None = Field(
        None,
        ge=1,
        le=1000,
        description=(
            "Database connections that one process keeps open; it may open ten more. When unset, "
            "10 for PostgreSQL and 20 for SQLite."
        ),
    )
    auto_migrate: bool = Field(
        True,
        description="True: migrate the schema at start. False: refuse to start on an old schema.",
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
        description="Task queue of workflows; judge calls use `<name>-judge-<provider>`.",
    )

    temporal_register: bool = Field(
        True,
        description="Register missing search attributes in Temporal. False: only check them, "
        "because somebody else registers them, as in Temporal Cloud.",
    )
    temporal_codec: str | None = Field(
        None,
        description="Codec of the payloads in Temporal as `module:Class`; Assay's own is "
        "`core.temporal.keyring_codec:KeyringCodec`. Nothing is encoded when unset.",
    )
    temporal_codec_keys: SecretStr | None = Field(
        None,
        description="Keys of the codec. For Assay's own: `id:key`, separated by commas, each key "
        "32 bytes in base64. The first key encrypts, every key decrypts.",
    )

    bootstrap_api_key: SecretStr | None = Field(
        None, min_length=16, description="API key that is created at start if it does not exist."
    )
    bootstrap_project: str = Field(
        "default",
        min_length=1,
        max_length=128,
        description="Project that is created at start if it does not exist.",
    )
    max_body_bytes: int = Field(
        10 * 1024 * 1024,
        ge=1024,
        description="Maximum size of a request body; a larger body answers 413.",
    )
    rate_limit_per_second: float | None = Field(
        None,
        gt=0,
        description="Requests per second that one API key may send to one API process; unlimited "
        "when unset.",
    )
    rate_limit_burst: int | None = Field(
        None,
        ge=1,
        description="Requests that one API key may send at once; when unset, the rate per second.",
    )
    max_body_memory_bytes: int = Field(
        192 * 1024 * 1024,
        ge=1024 * 1024,
        description=(
            "Memory for large request bodies in one API process; more bodies wait, then answer 503."
        ),
    )
    max_concurrent_requests: int = Field(
        1000, ge=1, description="Per API process, three quarters for one project. More: 503."
    )
    max_event_streams: int = Field(
        300,
        ge=1,
        description="Open event streams per project and API process, including those of browsers.",
    )
    failed_auth_per_minute: int = Field(
        3000,
        ge=1,
        description="Requests without a usable key per address and minute.",
    )
    allowed_hosts: str | None = Field(
        None,
        description="Host names the API answers to, separated by commas; any when unset. "
        "`/health`, `/ready` and `/metrics` answer to every name. `assay up` on a loopback "
        "address allows that address and `localhost`.",
    )
    max_unfinished_runs: int = Field(
        20_000, ge=1, description="Unfinished runs per project; more answer 429."
    )
    max_pairs_per_day: int = Field(
        5_000_000,
        ge=1,
        description=(
            "Pairs of target and metric in the runs that one project opens in 24 hours; more "
            "answer 429."
        ),
    )
    max_monitors: int = Field(200, ge=1, description="Monitors per project; more answer 422.")
    min_monitor_minutes: int = Field(
        15, ge=1, le=1440, description="Shortest time between two runs of a monitor."
    )
    max_stored_bytes: int = Field(
        50_000_000_000,
        ge=1,
        description="Bytes of stored traces per project; beyond this limit new traces answer 422.",
    )
    cors_origins: str | None = Field(
        None,
        description="Origins whose web pages may call the API, separated by commas; none when "
        "unset.",
    )
    resolve_wait_seconds: float = Field(
        1.0, ge=0, le=10, description="How long POST of a run waits for its traces to be resolved."
    )

    deployment_version: str | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="Version of the worker's code, for Temporal's Worker Versioning; unversioned "
        "when unset.",
    )
    max_open_runs: int = Field(
        200,
        ge=1,
        description="Maximum number of open runs; a fifth more for models with few open runs.",
    )
    max_open_runs_per_project: int = Field(
        50,
        ge=1,
        description="Maximum number of open runs per project; a fifth more as above.",
    )
    adopt_runs: bool = Field(
        False,
        description="True: start the unfinished runs of another Temporal here, after that "
        "Temporal is permanently lost. False: a worker refuses to start while such "
        "runs exist.",
    )

    judge_model: str | None = Field(
        None,
        description=(
            "Default judge, a LiteLLM model name; when unset, chosen by the provider keys that "
            "are set."
        ),
    )
    judge_models: str | None = Field(
        None,
        description=(
            "Models that runs may name, separated by commas; `openai/*` stands for every model of "
            "a provider. The default judge and `offline/rules` are always allowed. When unset, "
            "every model of a provider with a key is allowed."
        ),
    )
    judge_api_base: str | None = Field(
        None, description="Address of an OpenAI-compatible server for the default judge."
    )
    judge_client: Literal["auto", "litellm"] = Field(
        "auto",
        description="`auto` sends OpenAI's protocol directly and other protocols through "
        "LiteLLM's client; `litellm` sends all calls through LiteLLM's client.",
    )
    judge_timeout_seconds: float = Field(
        60.0, gt=0, le=300, description="Longest wait for one answer of the judge."
    )
    judge_concurrency: int = Field(
        100,
        ge=1,
        le=2000,
        description=(
            "Open judge calls per provider and worker process. A worker process works on twice as "
            "many pairs at once, but on at most 200 more."
        ),
    )
    judge_max_per_second: float | None = Field(
        None,
        gt=0,
        description="Judge activities started per second over all workers; unlimited when unset.",
    )
    judge_input_tokens: int | None = Field(
        None,
        ge=1000,
        description=(
            "Input budget of the judge in tokens. When unset, the limit of the model, or of a "
            "window of 32,000 tokens for a model that LiteLLM does not know."
        ),
    )
    embedding_model: str = Field(
        "local/wordllama", description="Embedding model: `local/wordllama` or a LiteLLM model."
    )

    audit_days: KeptDays = Field(
        365, description="Days for which entries of the audit log are kept."
    )
    retention_traces_days: KeptDays | None = Field(
        None,
        description="Days for which traces are kept, with their spans, tags and scores; for ever "
        "when unset. A project may set its own.",
    )
    retention_runs_days: KeptDays | None = Field(
        None, description="The same for finished runs with their scores, and for comparisons."
    )
    retention_judgements_days: KeptDays | None = Field(
        None, description="The same for the stored answers of judges, which runs reuse."
    )
    retention_usage_days: KeptDays | None = Field(
        None, description="The same for the usage of deleted scores; the current month stays."
    )
    trace_settle_seconds: SettleSeconds = Field(
        600.0,
        description="A trace without a root span is settled after this long without a new span.",
    )
    shutdown_grace_seconds: GraceSeconds = Field(
        90.0, description="How long a stopping worker waits for open judge calls."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Minimum severity of written log lines."
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description=(
            "`json` writes one JSON object per log line, with the ids of the request or run."
        ),
    )
    telemetry_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port on which a worker exposes Prometheus measures at `/metrics`, and "
        "`/health`; none when unset. The workers of `assay up` take this port and the next ones.",
    )
    telemetry_host: str = Field(
        "127.0.0.1", description="Address on which a worker exposes its measures."
    )

    @classmethod
    def read(cls) -> Self:
        """Reads the environment. Raises Misconfigured with the name of the variable."""
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
    def temporal_address(self) -> str:
        """Where Temporal is unless `TEMPORAL_ADDRESS` or a profile names it."""
        return f"127.0.0.1:{self.temporal_port}"

    @property
    def open_runs(self) -> OpenRunLimits:
        return OpenRunLimits(per_project=self.max_open_runs_per_project, in_all=self.max_open_runs)

    @property
    def run_quota(self) -> RunQuota:
        return RunQuota(
            unfinished_runs=self.max_unfinished_runs, pairs_per_day=self.max_pairs_per_day
        )

    @property
    def retention(self) -> RetentionDays:
        return RetentionDays(
            traces=self.retention_traces_days,
            runs=self.retention_runs_days,
            judgements=self.retention_judgements_days,
            usage=self.retention_usage_days,
        )

    @property
    def database(self) -> str:
        """The effective database URL."""
        return self.database_url or f"sqlite:///{self.home / 'assay.db'}"
