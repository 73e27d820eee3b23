"""Response bodies of estimates."""

from pydantic import BaseModel, Field


class RangeBody(BaseModel):
    low: float
    high: float


class EstimateBody(BaseModel):
    """The estimated size and cost of a run."""

    model: str
    matching_traces: int
    sampled_traces: int = Field(description="Number of traces that the run judges, after sampling.")
    pairs: int
    cached_pairs: int = Field(
        description="Pairs answered from the cache, projected from the measured traces."
    )
    judge_calls: int
    prompt_tokens: RangeBody
    completion_tokens: RangeBody
    cost_usd: RangeBody | None = Field(description="Null if the price of the model is unknown.")
    cost_unknown_because: str | None
    measured_traces: int = Field(description="Traces that were rendered for this estimate.")
