"""Monitors on the wire."""

from datetime import datetime
from typing import Annotated, Any, Self
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

from api.models.pages import PageQuery
from api.models.run_requests import Model, SignalWeights, distinct
from core.cadence import Cadence
from core.errors import Invalid
from core.ids import MonitorStatus, TargetType
from core.queries.monitors import Settings
from core.queries.watched import SIGNAL_WEIGHTS, WATCHED
from core.tables import EvalMonitor
from core.text import Label, PlainText

# Its runs are named after it, with a prefix, and their names have 512 characters.
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
    float, Field(ge=0, le=1, description="The share of what matches to judge, drawn at random.")
]
Weight = Annotated[float | None, Field(ge=0)]

_CADENCE = (
    "`every_6h` (from midnight), `daily` (at midnight), `weekly` (Mondays at midnight), or "
    "`cron:` and five fields: minute, hour, day, month, weekday. All in UTC. Where both day and "
    "weekday are given, both must fit."
)
_FILTERS = "As those of a run over the same kind of target."
_WEIGHTS = "How much each signal counts, for SESSION only; kept in `filters`."
_MODEL = "The judge, as provider/model; where null, the system's default at each run."
_ONLY = "Whether a run is skipped when nothing that matches has arrived since the last one began."


class MonitorBody(BaseModel):
    """What to judge, and when."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    target_type: TargetType
    metrics: Metrics
    filters: dict[str, Any] = Field(default_factory=dict, description=_FILTERS)
    sampling_rate: Rate = 1.0
    model: Model | None = Field(None, description=_MODEL)
    cadence: Cadence = Field(description=_CADENCE)
    only_if_changed: bool = Field(True, description=_ONLY)
    signal_weights: SignalWeights | None = Field(None, description=_WEIGHTS)

    @model_validator(mode="after")
    def _fits_its_target_type(self) -> Self:
        if self.signal_weights is not None and self.target_type is not TargetType.SESSION:
            raise ValueError("signal_weights are for monitors over sessions only")
        try:
            WATCHED[self.target_type].filters.model_validate(self._filters_given)
        except ValidationError as error:
            raise ValueError(_in_words(error)) from None
        except Invalid as error:
            raise ValueError(error.message) from None
        return self

    @property
    def _filters_given(self) -> dict[str, Any]:
        return {key: value for key, value in self.filters.items() if value is not None}

    def settings(self) -> Settings:
        weights = self.signal_weights and self.signal_weights.model_dump(exclude_none=True)
        return Settings(
            name=self.name,
            metric_names=self.metrics,
            filters=self._filters_given | ({SIGNAL_WEIGHTS: weights} if weights else {}),
            sampling_rate=self.sampling_rate,
            model=self.model,
            cadence=self.cadence,
            only_if_changed=self.only_if_changed,
        )


class MonitorPatch(BaseModel):
    """What is sent changes; the monitor as it would then be is checked as a whole."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    metrics: Metrics | None = None
    filters: dict[str, Any] | None = Field(None, description=_FILTERS)
    sampling_rate: Rate | None = None
    model: Model | None = Field(None, description=_MODEL)
    cadence: Cadence | None = Field(None, description=_CADENCE)
    only_if_changed: bool | None = Field(None, description=_ONLY)
    signal_weights: SignalWeights | None = Field(None, description=_WEIGHTS)

    def applied_to(self, row: EvalMonitor) -> MonitorBody:
        """Raises RequestValidationError."""
        filters = dict(row.filters)
        now = {
            "name": row.name,
            "target_type": row.target_type,
            "metrics": row.metric_names,
            "signal_weights": filters.pop(SIGNAL_WEIGHTS, None),
            "filters": filters,
            "sampling_rate": row.sampling_rate,
            "model": row.model,
            "cadence": row.cadence,
            "only_if_changed": row.only_if_changed,
        }
        try:
            return MonitorBody.model_validate(now | self.model_dump(exclude_unset=True))
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
    filters: dict[str, Any] = Field(description="As given, nulls left out.")
    sampling_rate: float
    model: str | None = Field(description=_MODEL)
    cadence: str
    only_if_changed: bool
    status: MonitorStatus
    last_run_at: datetime | None = Field(description="When its last run began.")
    last_run_id: UUID | None = Field(description="Null too when that run was deleted.")
    next_run_at: datetime | None = Field(
        description="When Temporal will look next whether to run it; null while it is paused, and "
        "while Temporal has not said."
    )
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: EvalMonitor, *, next_run_at: datetime | None) -> Self:
        return cls(
            id=row.id,
            project_id=row.project_id,
            name=row.name,
            target_type=row.target_type,
            metric_names=row.metric_names,
            filters=row.filters,
            sampling_rate=row.sampling_rate,
            model=row.model,
            cadence=row.cadence,
            only_if_changed=row.only_if_changed,
            status=row.status,
            last_run_at=row.last_run_at,
            last_run_id=row.last_run_id,
            next_run_at=next_run_at,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


def _in_words(error: ValidationError) -> str:
    """Never what was sent: it may be private, or text that no answer can carry."""
    found = []
    for one in error.errors():
        place = ".".join(["filters", *map(str, one["loc"])])
        found.append(f"{place}: {one['msg'].removeprefix('Value error, ')}")
    return "; ".join(found)
