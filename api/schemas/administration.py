"""Request and response bodies of projects, API keys, usage and the audit log."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.schemas.run_requests import MaxCost
from core import clock
from core.ids import RESERVED_KEY_NAMES, Scope
from core.moments import Moment, MomentRange
from core.queries.projects import MAX_NAME_LENGTH, RETENTION_COLUMNS
from core.queries.usage import UsageGrouping
from core.retention import FOR_EVER, MAX_RETENTION_DAYS, RetentionKind
from core.safe_text import PlainText

if TYPE_CHECKING:
    from core.db.tables import ApiKey, AuditEntry, Project

MAX_OVERLAP_SECONDS = 30 * 24 * 3600


def _printable(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("must be printable and not blank")
    return text


def _not_reserved(name: str) -> str:
    if name in RESERVED_KEY_NAMES:
        raise ValueError("is reserved for the key of the settings")
    return name


def _in_the_future(moment: datetime) -> datetime:
    if moment <= clock.now():
        raise ValueError("must lie in the future")
    return moment


Name = Annotated[
    PlainText,
    StringConstraints(min_length=1, max_length=MAX_NAME_LENGTH),
    AfterValidator(_printable),
]
Description = Annotated[PlainText, StringConstraints(max_length=1024)]


_MONTHLY = (
    "The most that judging may cost per calendar month (UTC), in US dollars; null for no limit. "
    "Runs pause when the budget is spent, and continue when it is raised or a new month begins."
)


OwnDays = Annotated[int, Field(ge=FOR_EVER, le=MAX_RETENTION_DAYS)]

_OWN_DAYS: Final = {
    RetentionKind.TRACES: "Days for which traces are kept after their arrival, with their spans, "
    "tags and scores. 0 keeps them for ever; null follows the setting of the installation.",
    RetentionKind.RUNS: "The same for finished runs after their end, with their scores, and for "
    "comparisons.",
    RetentionKind.JUDGEMENTS: "The same for the stored answers of judges, which runs reuse.",
    RetentionKind.USAGE: "The same for the usage of deleted scores. The current month stays.",
}


class OwnRetention(BaseModel):
    """The days of retention that a project sets for itself."""

    retention_traces_days: OwnDays | None = Field(None, description=_OWN_DAYS[RetentionKind.TRACES])
    retention_runs_days: OwnDays | None = Field(None, description=_OWN_DAYS[RetentionKind.RUNS])
    retention_judgements_days: OwnDays | None = Field(
        None, description=_OWN_DAYS[RetentionKind.JUDGEMENTS]
    )
    retention_usage_days: OwnDays | None = Field(None, description=_OWN_DAYS[RetentionKind.USAGE])


class ProjectBody(BaseModel):
    """A new project."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description="Unique; clients send it as X-Project-Name.")
    description: Description | None = None


class ProjectPatch(OwnRetention):
    """Sent fields change; null for `name` has no effect."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    description: Description | None = None
    monthly_budget_usd: MaxCost | None = Field(None, description=_MONTHLY)

    @property
    def sent(self) -> dict[str, Any]:
        given = self.model_dump(exclude_unset=True)
        return {key: value for key, value in given.items() if value is not None or key != "name"}


class ProjectView(OwnRetention):
    id: UUID
    name: str
    description: str | None
    monthly_budget_usd: float | None = Field(description=_MONTHLY)
    created_at: datetime
    status: Literal["ACTIVE", "DELETING"] = Field(
        description="DELETING: requests no longer find it, and its content is being deleted."
    )
    deleted_at: datetime | None = Field(description="Time of the request for deletion.")
    deleted_rows: int = Field(description="Rows deleted so far.")

    @classmethod
    def of(cls, row: "Project") -> Self:
        return cls(
            id=row.id,
            name=row.name,
            description=row.description,
            monthly_budget_usd=row.monthly_budget_usd,
            **{column: getattr(row, column) for column in RETENTION_COLUMNS},
            created_at=row.created_at,
            status="ACTIVE" if row.deleted_at is None else "DELETING",
            deleted_at=row.deleted_at,
            deleted_rows=row.deleted_rows,
        )


class ApiKeyBody(BaseModel):
    """A new API key."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, AfterValidator(_not_reserved)] = Field(description="What the key is for.")
    scope: Scope = Scope.WRITE
    project_id: UUID | None = Field(None, description="The home project of the key.")
    any_project: bool = Field(
        False, description="Whether requests may name other projects. True without a home project."
    )
    expires_at: Annotated[Moment, AfterValidator(_in_the_future)] | None = None


class RotationBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    overlap_seconds: int = Field(
        0, ge=0, le=MAX_OVERLAP_SECONDS, description="How long the old key continues to work."
    )


class ApiKeyView(BaseModel):
    """An API key without its text."""

    id: UUID
    name: str
    prefix: str = Field(description="The first characters of the key.")
    scope: Scope
    project_id: UUID | None = Field(description="The project of requests that name none.")
    any_project: bool = Field(description="Whether requests may name other projects.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, row: "ApiKey", **more: Any) -> Self:
        return cls(
            id=row.id,
            name=row.name,
            prefix=row.prefix,
            scope=Scope(row.scope),
            project_id=row.project_id,
            any_project=row.any_project,
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            **more,
        )


class NewApiKeyView(ApiKeyView):
    key: str = Field(description="The text of the key. No later response contains it.")


class UsageQuery(MomentRange):
    model_config = ConfigDict(extra="forbid")
    range_fields = ("date_from", "date_to")

    date_from: Moment | None = Field(None, description="Pairs that ended at this moment or later.")
    date_to: Moment | None = Field(None, description="Pairs that ended before this moment.")
    group_by: UsageGrouping = UsageGrouping.DAY


class AuditView(BaseModel):
    """One change, with its actor, operation and target."""

    id: UUID
    created_at: datetime
    actor: str = Field(description="The name of the key, or `command line`.")
    key_id: UUID | None
    project_id: UUID | None
    action: str = Field(description="The operation, such as `delete_trace_run`.")
    target: str | None = Field(description="Id of the created, changed or deleted row.")
    request_id: str | None = Field(description="The X-Request-ID of the request.")

    @classmethod
    def of(cls, row: "AuditEntry") -> Self:
        return cls(
            id=row.id,
            created_at=row.created_at.astimezone(UTC),
            actor=row.actor,
            key_id=row.key_id,
            project_id=row.project_id,
            action=row.action,
            target=row.target,
            request_id=row.request_id,
        )
