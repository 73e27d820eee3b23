"""How long a pair bears with a provider, across attempts and workers."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from temporalio import activity

from core import clock
from core.errors import JudgeBusy
from core.usage import Usage

OUTAGE_ENDURANCE: Final = timedelta(minutes=20)
"""Unbroken outage after which a pair FAILED."""

RATE_LIMIT_ENDURANCE: Final = timedelta(hours=24)
"""A rate limit lets some calls through, so waiting is worth while for far longer."""


@dataclass(frozen=True, slots=True)
class Endurance:
    """What earlier attempts went through. Heartbeat details carry it to the next attempt."""

    scheduled_at: datetime
    outage_since: datetime | None
    spent: Usage
    provider: str | None = None

    @classmethod
    def of_this_activity(cls) -> "Endurance":
        info = activity.info()
        since, spent, provider = [*info.heartbeat_details, None, None, None][:3]
        return cls(
            scheduled_at=info.scheduled_time,
            outage_since=datetime.fromisoformat(since) if since else None,
            spent=Usage(**spent) if spent else Usage(),
            provider=provider,
        )

    @property
    def details(self) -> tuple[str | None, dict[str, Any], str | None]:
        """Read by the next attempt, and by `activities.waiting` meanwhile."""
        since = self.outage_since.isoformat() if self.outage_since else None
        return since, asdict(self.spent), self.provider

    def after(self, error: JudgeBusy) -> "Endurance":
        since = None if error.rate_limited else self.outage_since or clock.now()
        return replace(
            self, outage_since=since, spent=self.spent + error.spent, provider=error.provider
        )

    def after_progress(self) -> "Endurance":
        """The judge has answered: whatever outage there was is over."""
        return replace(self, outage_since=None)

    @property
    def is_over(self) -> bool:
        """Whether to give up."""
        if self.outage_since is None:
            return clock.now() - self.scheduled_at > RATE_LIMIT_ENDURANCE
        return clock.now() - self.outage_since > OUTAGE_ENDURANCE


@dataclass(slots=True)
class Bearing:
    """How one attempt stands, as its heartbeats tell it."""

    endurance: Endurance

    def answered(self) -> None:
        self.endurance = self.endurance.after_progress()
