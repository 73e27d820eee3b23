"""One attempt at a pair: its stage, and the details of its heartbeats."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from typing import Any

from activities.judging.retry_budget import RetryBudget
from core.usage import Usage


class Stage(StrEnum):
    """The stage of a pair. `core.temporal.run_activity` reads it from the heartbeat details."""

    READING = "reading"
    ASKING = "asking"
    WRITING = "writing"
    WAITING = "waiting for the next attempt"


class AttemptState:
    """`pair`: metric and target as text, for readers of the heartbeat in Temporal. `answers`: the
    usage of the answers behind a score that is not written yet.
    """

    def __init__(self, budget: RetryBudget, pair: str) -> None:
        self.budget = budget
        self.answers = Usage()
        self._pair = pair
        self.stage = Stage.READING
        self._began = self._stage_began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the attempt began."""
        return time.monotonic() - self._began

    @property
    def stage_seconds(self) -> float:
        return time.monotonic() - self._stage_began

    @property
    def details(self) -> dict[str, Any]:
        return {"pair": self._pair, "stage": str(self.stage)} | self.budget.details

    def answered(self) -> None:
        """Records that the judge has answered one of several questions."""
        self.budget = self.budget.after_answer()

    def spend(self, usage: Usage) -> None:
        """Adds the usage of calls that gave no answer."""
        self.budget = replace(self.budget, spent=self.budget.spent + usage)

    @contextmanager
    def at(self, stage: Stage) -> Iterator[None]:
        """Sets the stage during the block; the previous stage applies again afterwards."""
        before = self.stage
        self._enter(stage)
        try:
            yield
        finally:
            self._enter(before)

    def end(self) -> None:
        """Records that the attempt is over and another one follows."""
        self._enter(Stage.WAITING)

    def _enter(self, stage: Stage) -> None:
        self.stage = stage
        self._stage_began = time.monotonic()
