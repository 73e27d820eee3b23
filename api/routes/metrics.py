"""What can be measured, and with which judges."""

from typing import Literal, Self

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api import errors
from api.dependencies import CurrentStack, ReadProject
from api.requests import JsonRoute
from core.queries import workers
from evals import catalog
from evals.metric import SessionMetric, TraceMetric

router = APIRouter(prefix="/evaluations", tags=["Metrics"], route_class=JsonRoute)


class MetricSummary(BaseModel):
    name: str
    description: str
    category: Literal["trace", "session"]

    @classmethod
    def of(cls, metric: TraceMetric | SessionMetric) -> Self:
        category = "trace" if isinstance(metric, TraceMetric) else "session"
        return cls.model_validate(
            {"name": metric.name, "description": metric.about, "category": category}
        )


class PromptPreview(BaseModel):
    stage: str
    prompt: str


class MetricInfo(MetricSummary):
    default_threshold: float = Field(description="A score from here on counts as success.")
    prompt_preview: list[PromptPreview] = Field(
        description="The real prompts, on sample data; none where no judge is asked."
    )

    @classmethod
    def in_full(cls, metric: TraceMetric | SessionMetric) -> "MetricInfo":
        summary = MetricSummary.of(metric)
        preview = catalog.preview(metric) if isinstance(metric, TraceMetric) else []
        return cls(
            **summary.model_dump(),
            default_threshold=metric.threshold,
            prompt_preview=[PromptPreview(**one) for one in preview],
        )


class ProviderBody(BaseModel):
    """A provider of judge models, as the workers see it. Never a credential."""

    key: str = Field(description="What stands before the slash in a model's name.")
    name: str
    description: str
    available: bool
    message: str = Field(description="What is missing where it is not available.")


@router.get(
    "/trace-metrics", summary="Metrics that a trace run may name", responses=errors.responses()
)
async def list_trace_metrics(_project: ReadProject) -> list[MetricSummary]:
    return [MetricSummary.of(metric) for metric in catalog.trace_metrics()]


@router.get(
    "/session-metrics", summary="Metrics that a session run may name", responses=errors.responses()
)
async def list_session_metrics(_project: ReadProject) -> list[MetricSummary]:
    return [MetricSummary.of(metric) for metric in catalog.session_metrics()]


@router.get(
    "/providers",
    summary="Providers of judge models",
    description="As the workers seen within two minutes report them; empty when there were none.",
    responses=errors.responses(),
)
async def list_providers(_project: ReadProject, stack: CurrentStack) -> list[ProviderBody]:
    async with stack.database.read() as db:
        offer = await workers.offered(db)
    return [ProviderBody.model_validate(row, from_attributes=True) for row in offer.providers]
