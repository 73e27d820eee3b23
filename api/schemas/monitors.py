"""Request and response bodies of monitors."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self
from uuid import UUID

from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from api.schemas.pages import PageQuery
from api.schemas.run_requests import (
    BUNDLE,
    MAX_COST,
    MAX_TOKENS_HELP,
    MaxCost,
    MaxTokens,
    Model,
    SignalWeights,
    distinct,
)
from api.schemas.runs import filters_shown
from core.content_limits import MAX_FILTER_BYTES, check_size
from core.cron import Cadence
from core.errors import Invalid
from core.ids import MonitorStatus, TargetType
from core.queries.monitor_matches import FILTERS
from core.queries.monitor_rows import MonitorSettings
from core.safe_text import Label, PlainText

if TYPE_CHECKING:
    from core.db.tables import EvalMonitor

# Shorter than the 512 characters of a run's name, because runs of the monitor get a prefix.
Name = Annotated[PlainText, StringConstraints(min_length=1, max_length=500)]
Metrics = Annotated[
    list[Label],
    AfterValidator(distinct),
    Field(
        min_length=1,
        max_length=100,
        description="Names from /evaluations/trace-metrics or /evaluations/session-metrics.",
    ),
]
Rate = Annotated[
    float, Field(ge=0, le=1, description="Share of the matching targets to judge, drawn at random.")
]

_CADENCE = (
    "`every_6h` (from midnight), `daily` (at midnight), `weekly` (Mondays at midnight), each up to "
    "ten minutes later, or `cron:` and five fields: minute, hour, day, month, weekday. All in UTC. "
    "If day and weekday are given, both must match."
)
_FILTERS = "Filters of a run over the same kind of target."
_WEIGHTS = "Weights of the signals, for SESSION only; shown inside `filters`."
_MODEL = "The judge, as provider/model; if null, the default at the time of each run."
_ONLY = "Skip a run if no matching target has arrived since the last run began."


_NULLABLE = ("model", "signal_weights", "max_cost_usd", "max_tokens")


class MonitorBody(BaseModel):
    """A new monitor."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    target_type: TargetType
    metrics: Metrics
    filters: dict[str, Any] = Field(default_factory=dict, description=_FILTERS)
    sampling_rate: Rate = 1.0
    model: Model | None = Field(None, description=_MODEL)
    cadence: Cadence = Field(description=_CADENCE)
    only_if_changed: bool = Field(True, description=_ONLY)
    bundle: bool = Field(True, description=BUNDLE)
    max_cost_usd: MaxCost | None = Field(None, description=f"Of each run. {MAX_COST}")
    max_tokens: MaxTokens | None = Field(None, description=f"Of each run. {MAX_TOKENS_HELP}")
    signal_weights: SignalWeights | None = Field(None, description=_WEIGHTS)

    @model_validator(mode="after")
    def _fits_its_target_type(self) -> Self:
        if self.signal_weights is not None and self.target_type is not TargetType.SESSION:
            raise ValueError("signal_weights apply only to monitors over sessions")
        check_size(self._filters_given, MAX_FILTER_BYTES)
        try:
            FILTERS[self.target_type].model_validate(self._filters_given)
        except ValidationError as error:
            raise ValueError(_in_words(error)) from None
        except Invalid as error:
            raise ValueError(error.message) from None
        return self

    @property
    def _filters_given(self) -> dict[str, Any]:
        return {key: value for key, value in self.filters.items() if value is not None}

    def settings(self) -> MonitorSettings:
        return MonitorSettings(
            name=self.name,
            metric_names=self.metrics,
            filters=self._filters_given,
            signal_weights=self.signal_weights.given if self.signal_weights else None,
            sampling_rate=self.sampling_rate,
            model=self.model,
            cadence=self.cadence,
            only_if_changed=self.only_if_changed,
            bundle=self.bundle,
            max_cost_usd=self.max_cost_usd,
            max_tokens=self.max_tokens,
        )


class MonitorPatch(BaseModel):
    """Sent fields change; the resulting monitor is validated as a whole."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    metrics: Metrics | None = None
    filters: dict[str, Any] | None = Field(None, description=_FILTERS)
    sampling_rate: Rate | None = None
    model: Model | None = Field(None, description=_MODEL)
    cadence: Cadence | None = Field(None, description=_CADENCE)
    only_if_changed: bool | None = Field(None, description=_ONLY)
    bundle: bool | None = Field(None, description=BUNDLE)
    max_cost_usd: MaxCost | None = Field(None, description=f"Of each run. {MAX_COST}")
    max_tokens: MaxTokens | None = Field(None, description=f"Of each run. {MAX_TOKENS_HELP}")
    signal_weights: SignalWeights | None = Field(None, description=_WEIGHTS)

    def _sent(self) -> dict[str, Any]:
        """The fields that change. Null for a field that cannot be null has no effect."""
        sent = self.model_dump(exclude_unset=True)
        return {key: value for key, value in sent.items() if value is not None or key in _NULLABLE}

    def applied_to(self, row: "EvalMonitor") -> MonitorBody:
        """Raises RequestValidationError."""
        now = {
            "name": row.name,
            "target_type": row.target_type,
            "metrics": row.metric_names,
            "signal_weights": row.signal_weights,
            "filters": row.filters,
            "sampling_rate": row.sampling_rate,
            "model": row.model,
            "cadence": row.cadence,
            "only_if_changed": row.only_if_changed,
            "bundle": row.bundle,
            "max_cost_usd": row.max_cost_usd,
            "max_tokens": row.max_tokens,
        }
        try:
            return MonitorBody.model_validate(now | self._sent())
        except ValidationError as error:
            found = [one | {"loc": ("body", *one["loc"])} for one in error.errors()]
            raise RequestValidationError(found) from None


class MonitorListQuery(PageQuery):
    status: MonitorStatus | None = Field(None, description="Monitors in this status.")


class Monitor(BaseModel):
    """A saved run with a cadence."""

    id: UUID
    project_id: UUID
    name: str
    target_type: TargetType
    metric_names: list[str]
    filters: dict[str, Any] = Field(description="As sent, without nulls.")
    sampling_rate: float
    model: str | None = Field(description=_MODEL)
    cadence: str
    only_if_changed: bool
    bundle: bool
    max_cost_usd: float | None = Field(description="The budget of each run, in US dollars.")
    max_tokens: int | None = Field(description="The budget of each run, in tokens.")
    status: MonitorStatus
    last_run_at: datetime | None = Field(description="Start of the monitor's last run.")
    last_run_id: UUID | None = Field(
        description="Null without a last run, and if that run was deleted."
    )
    next_run_at: datetime | None = Field(
        description="Next due time; null for a paused monitor, and while the time is unknown."
    )
    last_error: str | None = Field(
        description=(
            "Why no run could be opened at the last due time; null if a run was opened. After "
            "five consecutive failures the monitor is paused. If its schedule was paused in "
            "Temporal, this field says so."
        )
    )
    skipped_by_outage: int = Field(
        description="Number of due times without a run because Temporal was unavailable for "
        "longer than half of the cadence or longer than a day, since the schedule was "
        "created."
    )
    skipped_by_overlap: int = Field(
        description="Number of due times without a run because the last run was still open."
    )
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: "EvalMonitor", *, next_run_at: datetime | None) -> Self:
        return cls(
            id=row.id,
            project_id=row.project_id,
            name=row.name,
            target_type=row.target_type,
            metric_names=row.metric_names,
            filters=filters_shown(row.filters, row.signal_weights),
            sampling_rate=row.sampling_rate,
            model=row.model,
            cadence=row.cadence,
            only_if_changed=row.only_if_changed,
            bundle=row.bundle,
            max_cost_usd=row.max_cost_usd,
            max_tokens=row.max_tokens,
            status=row.status,
            last_run_at=row.last_run_at,
            last_run_id=row.last_run_id,
            next_run_at=next_run_at,
            last_error=row.last_error,
            skipped_by_outage=row.skipped_by_outage,
            skipped_by_overlap=row.skipped_by_overlap,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


def _in_words(error: ValidationError) -> str:
    """Describes the errors without the sent values, which may be private or not valid JSON."""
    found = []
    for one in error.errors():
        place = ".".join(["filters", *map(str, one["loc"])])
        found.append(f"{place}: {one['msg'].removeprefix('Value error, ')}")
    return "; ".join(found)
