"""Whether a provider of judge models can be used."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """One entry of `/evaluations/providers`. It never carries a credential.

    `any_name`: the provider accepts every model name that belongs to no other provider.
    """

    key: str
    name: str
    description: str
    available: bool
    message: str
    any_name: bool = False


class ThrottleState(StrEnum):
    OPEN = "open"
    RATE_LIMITED = "rate limited"
    DOWN = "down"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class ThrottleStatus:
    """The state of a worker's rate control for one model.

    `limit`: the maximum number of open calls; None in rows of older workers.
    `per_second`: the current pace; None if no pace applies. `until`: when the next call may begin;
    None if a call may begin now, or if the time is unknown.
    """

    provider: str
    model: str
    state: ThrottleState
    open_calls: int
    waiting: int
    per_second: float | None = None
    until: datetime | None = None
    limit: float | None = None
