"""What a client sends to open a run."""

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    StringConstraints,
    model_validator,
)

from core.filters import TraceFilters
from core.session_filters import SessionFilters
from core.text import Label, Name, PlainText

MAX_TRACE_IDS = 10_000
MAX_SESSION_IDS = 10_000


def distinct(values: list[Any]) -> list[Any]:
    """Each once, in the order given."""
    return list(dict.fromkeys(values))


SessionName = Annotated[PlainText, StringConstraints(min_length=1, max_length=255)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Model = Annotated[PlainText, StringConstraints(min_length=1, max_length=255)]

_MODEL = "The judge, as provider/model; the system's default where null."


class RunBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    metrics: Annotated[list[Label], AfterValidator(distinct)] = Field(
        min_length=1,
        max_length=100,
        description="Names from /evaluations/trace-metrics or /evaluations/session-metrics.",
    )
    name: Name | None = Field(None, description="To recognise the run by.")
    model: Model | None = Field(None, description=_MODEL)
    fresh: bool = Field(False, description="Ask the judge again what it has answered before.")


class _FilteredBody(RunBody):
    sampling_rate: float = Field(
        1.0, ge=0, le=1, description="The share of what matches to judge, drawn at random."
    )

    _filters_given: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _remember_filters(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(data)
        given = data.get("filters") if isinstance(data, dict) else None
        if isinstance(given, dict):
            made._filters_given = {k: v for k, v in given.items() if v is not None}
        return made

    @property
    def filters_given(self) -> dict[str, Any]:
        """The filters in the client's own words, nulls left out."""
        return self._filters_given


class TraceRunBody(_FilteredBody):
    """A run over the traces that match, or over a share of them."""

    filters: TraceFilters = Field(default_factory=TraceFilters)


class TraceBatchBody(RunBody):
    """A run over exactly these traces."""

    trace_ids: Annotated[list[UUID], AfterValidator(distinct)] = Field(
        min_length=1, max_length=MAX_TRACE_IDS
    )


class SignalWeights(BaseModel):
    """How much each signal counts; one that is left out counts as it does by default."""

    model_config = ConfigDict(extra="forbid")

    confidence: Weight | None = None
    loop_detection: Weight | None = None
    tool_correctness: Weight | None = None
    coherence: Weight | None = None


class _Weighted(BaseModel):
    signal_weights: SignalWeights | None = None

    @property
    def weights_given(self) -> dict[str, Any]:
        """As a run keeps them inside its filters."""
        weights = self.signal_weights and self.signal_weights.model_dump(exclude_none=True)
        return {"signal_weights": weights} if weights else {}


class SessionRunBody(_FilteredBody, _Weighted):
    """A run over the sessions that match, or over a share of them."""

    filters: SessionFilters = Field(default_factory=SessionFilters)


class SessionBatchBody(RunBody, _Weighted):
    """A run over exactly these sessions."""

    session_ids: Annotated[list[SessionName], AfterValidator(distinct)] = Field(
        min_length=1, max_length=MAX_SESSION_IDS
    )
