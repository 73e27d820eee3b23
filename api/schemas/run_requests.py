"""Requests that open a run."""

from dataclasses import fields
from typing import Annotated, Any, Final, Self
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

from core.content_limits import MAX_FILTER_BYTES, check_size
from core.filters import SessionFilters, TraceFilters
from core.money import MAX_BUDGET_USD
from core.run_spec import RunSpec
from core.safe_text import Label, Name, PlainText

MAX_TRACE_IDS = 10_000
MAX_SESSION_IDS = 10_000


def distinct(values: list[Any]) -> list[Any]:
    """The values without duplicates, in the given order."""
    return list(dict.fromkeys(values))


SessionName = Annotated[PlainText, StringConstraints(min_length=1, max_length=255)]
MAX_WEIGHT: Final = 1000.0

Weight = Annotated[float, Field(ge=0, le=MAX_WEIGHT, allow_inf_nan=False)]
Model = Annotated[PlainText, StringConstraints(min_length=1, max_length=255)]

BUNDLE = (
    "True: ask the judge about all metrics of a trace in one call, which saves calls and tokens. "
    "False: one call per metric."
)
MAX_TOKENS = 1_000_000_000_000
MaxCost = Annotated[float, Field(gt=0, le=MAX_BUDGET_USD, allow_inf_nan=False)]
MaxTokens = Annotated[int, Field(gt=0, le=MAX_TOKENS)]
MAX_COST = (
    "The run's budget in US dollars. At this limit the run pauses until it is resumed. Requires a "
    "model whose price is known."
)
MAX_TOKENS_HELP = (
    "The run's budget in tokens, prompts and answers together. At this limit the run pauses until "
    "it is resumed."
)
_MODEL = "The judge, as provider/model; if null, the default judge."


class RunBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    metrics: Annotated[list[Label], AfterValidator(distinct)] = Field(
        min_length=1,
        max_length=100,
        description="Names from /evaluations/trace-metrics or /evaluations/session-metrics.",
    )
    name: Name | None = Field(None, description="A name for people.")
    model: Model | None = Field(None, description=_MODEL)
    fresh: bool = Field(
        False, description="Ask the judge again, even if an earlier answer is stored."
    )
    bundle: bool = Field(True, description=BUNDLE)
    max_cost_usd: MaxCost | None = Field(None, description=MAX_COST)
    max_tokens: MaxTokens | None = Field(None, description=MAX_TOKENS_HELP)

    def options(self) -> dict[str, Any]:
        """The fields that `RunSpec` has under the same names."""
        shared = RunBody.model_fields.keys() & {field.name for field in fields(RunSpec)}
        return {name: getattr(self, name) for name in shared - {"model"}}


class ResumeBody(BaseModel):
    """A higher budget. An omitted field does not change."""

    model_config = ConfigDict(extra="forbid")

    max_cost_usd: MaxCost | None = Field(None, description="The run's budget from now on.")
    max_tokens: MaxTokens | None = Field(None, description="The run's budget from now on.")


class _FilteredBody(RunBody):
    sampling_rate: float = Field(
        1.0, ge=0, le=1, description="Share of the matching targets to judge, drawn at random."
    )

    _filters_given: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _remember_filters(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        body = handler(data)
        given = data.get("filters") if isinstance(data, dict) else None
        if isinstance(given, dict):
            body._filters_given = {k: v for k, v in given.items() if v is not None}
            check_size(body._filters_given, MAX_FILTER_BYTES)
        return body

    @property
    def filters_given(self) -> dict[str, Any]:
        """The filters as the client sent them, without nulls."""
        return self._filters_given


class TraceRunBody(_FilteredBody):
    """A run over matching traces, or over a share of them."""

    filters: TraceFilters = Field(default_factory=TraceFilters)


class TraceBatchBody(RunBody):
    """A run over exactly these traces."""

    trace_ids: Annotated[list[UUID], AfterValidator(distinct)] = Field(
        min_length=1, max_length=MAX_TRACE_IDS
    )


class SignalWeights(BaseModel):
    """Weights of the signals; a missing weight has its default."""

    model_config = ConfigDict(extra="forbid")

    confidence: Weight | None = None
    loop_detection: Weight | None = None
    tool_correctness: Weight | None = None
    coherence: Weight | None = None

    @property
    def given(self) -> dict[str, float] | None:
        """The weights that are not null; None without any."""
        return self.model_dump(exclude_none=True) or None


class _Weighted(BaseModel):
    signal_weights: SignalWeights | None = None

    @property
    def weights_given(self) -> dict[str, float] | None:
        return self.signal_weights.given if self.signal_weights else None


class SessionRunBody(_FilteredBody, _Weighted):
    """A run over matching sessions, or over a share of them."""

    filters: SessionFilters = Field(default_factory=SessionFilters)


class SessionBatchBody(RunBody, _Weighted):
    """A run over exactly these sessions."""

    session_ids: Annotated[list[SessionName], AfterValidator(distinct)] = Field(
        min_length=1, max_length=MAX_SESSION_IDS
    )
