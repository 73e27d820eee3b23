from dataclasses import dataclass
from typing import Any, Final

from core.usage import Usage

CLAIM_SECONDS: Final = 30.0
"""How long a claim lasts without renewal. After the death of a worker, others wait this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJudgement:
    """A completed answer as it is stored.

    `cost_usd` is None for an unknown price. `paid_by` names the run and the trace that paid for the
    answer; None for answers of earlier releases.
    """

    answer: dict[str, Any]
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    calls: int = 1
    repair_calls: int = 0
    repair_cost_usd: float | None = 0.0
    paid_by: str | None = None

    @property
    def usage(self) -> Usage:
        return Usage(
            calls=self.calls,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost_usd=self.cost_usd,
            repair_calls=self.repair_calls,
            repair_cost_usd=self.repair_cost_usd,
        )
