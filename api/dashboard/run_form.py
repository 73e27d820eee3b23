"""The form of a run or a monitor: targets, metrics and judge."""

from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

from pydantic import BaseModel, Field
from starlette.datastructures import FormData

from api.dashboard import views
from core.filters import SessionFilters, TraceFilters
from core.ids import TargetType
from core.safe_text import PlainText
from evals import catalog
from evals.metric import SessionMetric, TraceMetric


@dataclass(frozen=True, slots=True)
class OfferedMetric:
    name: str
    question: str
    version: str
    threshold: float
    is_picked: bool


class RunForm(BaseModel):
    """The fields of the form; an empty field has no value. `share` is in percent."""

    target: PlainText = ""
    metric: list[PlainText] = Field(default_factory=list, max_length=100)
    name: PlainText = Field("", max_length=512)
    name_contains: PlainText = ""
    status: PlainText = ""
    user: PlainText = ""
    session: PlainText = ""
    tag: list[PlainText] = Field(default_factory=list, max_length=100)
    started_from: PlainText = ""
    started_before: PlainText = ""
    has_error: PlainText = ""
    min_traces: int | None = Field(None, ge=1, le=1_000_000)
    trace: list[PlainText] = Field(default_factory=list, max_length=1000)
    share: float = Field(100, ge=0, le=100)
    model: PlainText = Field("", max_length=255)
    fresh: bool = False
    max_cost_usd: PlainText = ""
    max_tokens: PlainText = ""

    @classmethod
    def read(cls, sent: FormData) -> Self:
        """Raises ValidationError."""
        lists = ("metric", "tag", "trace")
        fields: dict[str, Any] = {name: sent.getlist(name) for name in lists}
        for name in cls.model_fields:
            value = sent.get(name)
            if name not in lists and isinstance(value, str) and value.strip():
                fields[name] = value.strip()
        form = cls.model_validate(fields)
        form.tag = [tag.strip() for text in form.tag for tag in text.split(",") if tag.strip()]
        return form

    @classmethod
    def of(
        cls,
        target_type: TargetType,
        metrics: list[str],
        filters: dict[str, Any],
        sampling_rate: float,
        model: str | None,
    ) -> Self:
        """The form for an earlier run or a monitor."""
        return cls(
            target="SESSION" if target_type is TargetType.SESSION else "",
            metric=metrics,
            name_contains=str(filters.get("name") or ""),
            status=str(filters.get("status") or ""),
            user=str(filters.get("user_id") or ""),
            session=str(
                filters.get("session_id") or next(iter(filters.get("session_ids", ())), "")
            ),
            tag=[str(tag) for tag in filters.get("tags") or ()],
            started_from=str(filters.get("date_from") or ""),
            started_before=str(filters.get("date_to") or ""),
            has_error={True: "yes", False: "no"}.get(filters.get("has_error"), ""),  # type: ignore[arg-type]  # None: neither
            min_traces=filters.get("min_trace_count"),
            trace=[str(trace_id) for trace_id in filters.get("trace_ids") or ()][:1000],
            share=sampling_rate * 100,
            model=model or "",
        )

    def with_budget(self, max_cost_usd: float | None, max_tokens: int | None) -> Self:
        fields = {"max_cost_usd": max_cost_usd, "max_tokens": max_tokens}
        given = {name: str(value) for name, value in fields.items() if value is not None}
        return self.model_copy(update=given)

    @property
    def budget(self) -> dict[str, str | None]:
        """The budget as fields of an API request, which validates the numbers."""
        return {"max_cost_usd": self.max_cost_usd or None, "max_tokens": self.max_tokens or None}

    @property
    def target_type(self) -> TargetType:
        return TargetType.SESSION if self.target == "SESSION" else TargetType.TRACE

    def filters(self) -> dict[str, Any]:
        """The filters in the form of an API request, without empty fields."""
        if self.target_type is TargetType.SESSION:
            given: dict[str, Any] = {
                "has_error": {"yes": True, "no": False}.get(self.has_error),
                "min_trace_count": self.min_traces,
            }
        else:
            given = {
                "status": self.status,
                "session_id": self.session,
                "name": self.name_contains,
            }
        given |= {
            "user_id": self.user,
            "tags": [tag for tag in self.tag if tag],
            "date_from": self.started_from,
            "date_to": self.started_before,
        }
        return {name: value for name, value in given.items() if value not in (None, "", [])}

    def trace_filters(self) -> TraceFilters:
        """Raises ValidationError."""
        return TraceFilters.model_validate(self.filters())

    def session_filters(self) -> SessionFilters:
        """Raises ValidationError."""
        return SessionFilters.model_validate(self.filters())

    def offered(self) -> list[OfferedMetric]:
        metrics: list[TraceMetric | SessionMetric] = (
            [*catalog.session_metrics()]
            if self.target_type is TargetType.SESSION
            else [*catalog.trace_metrics()]
        )
        return [
            OfferedMetric(
                metric.name,
                metric.about,
                metric.version,
                views.threshold_of(metric.name),
                metric.name in self.metric,
            )
            for metric in metrics
        ]

    def address(self) -> str:
        """The query string that opens the form with these values."""
        return urlencode(self.model_dump(exclude_defaults=True), doseq=True)
