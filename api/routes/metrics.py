"""Available metrics, and available judges."""

from typing import Literal, Self

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api import errors
from api.dependencies import CurrentStack, ReadProject
from api.http.json_body import JsonRoute
from core.model_names import other_names_of
from core.provider_status import ProviderStatus
from core.queries import workers
from evals import catalog
from evals.metric import SessionMetric, TraceMetric

router = APIRouter(prefix="/evaluations", tags=["Metrics"], route_class=JsonRoute)


class MetricName(BaseModel):
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


class MetricInfo(MetricName):
    default_threshold: float = Field(
        description="A score at or above this value counts as success."
    )
    prompt_preview: list[PromptPreview] = Field(
        description="The prompts, on sample data; empty for a metric without a judge."
    )

    @classmethod
    def in_full(cls, metric: TraceMetric | SessionMetric) -> "MetricInfo":
        summary = MetricName.of(metric)
        preview = catalog.preview(metric) if isinstance(metric, TraceMetric) else []
        return cls(
            **summary.model_dump(),
            default_threshold=metric.threshold,
            prompt_preview=[PromptPreview(**one) for one in preview],
        )


class ProviderBody(BaseModel):
    """A provider of judge models, as reported by workers. Contains no credential."""

    key: str = Field(description="The part of a model's name before the slash.")
    name: str
    description: str
    available: bool
    message: str = Field(description="What an unavailable provider lacks.")

    @classmethod
    def of(cls, status: ProviderStatus, key: str) -> Self:
        return cls(
            key=key,
            name=status.name,
            description=status.description,
            available=status.available,
            message=status.message,
        )


@router.get("/trace-metrics", summary="List trace metrics", responses=errors.responses())
async def list_trace_metrics(_project: ReadProject) -> list[MetricName]:
    return [MetricName.of(metric) for metric in catalog.trace_metrics()]


@router.get("/session-metrics", summary="List session metrics", responses=errors.responses())
async def list_session_metrics(_project: ReadProject) -> list[MetricName]:
    return [MetricName.of(metric) for metric in catalog.session_metrics()]


@router.get(
    "/providers",
    summary="List providers of judge models",
    description=(
        "As reported by the workers that were seen within two minutes; empty without workers."
    ),
    responses=errors.responses(),
)
async def list_providers(_project: ReadProject, stack: CurrentStack) -> list[ProviderBody]:
    async with stack.database.read() as db:
        offer = await workers.offered(db)
    return [
        ProviderBody.of(row, key)
        for row in offer.providers
        for key in (row.key, *other_names_of(row.key))
    ]
