"""How long rows are kept: the kinds of rows that are deleted by age, and their days."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

FOR_EVER: Final = 0
"""Days of a project that keeps rows although the installation deletes them."""

MAX_RETENTION_DAYS: Final = 36_500


class RetentionKind(StrEnum):
    """What is deleted by age, in the order of a sweep.

    TRACES: traces with their spans, tags and scores, and sessions with their last trace. RUNS:
    finished runs with their scores, and finished comparisons. JUDGEMENTS: stored answers of judges.
    USAGE: the usage of deleted scores.
    """

    TRACES = "traces"
    RUNS = "runs"
    JUDGEMENTS = "judgements"
    USAGE = "usage"


@dataclass(frozen=True, slots=True)
class RetentionDays:
    """The days for which each kind is kept; None keeps it for ever."""

    traces: int | None = None
    runs: int | None = None
    judgements: int | None = None
    usage: int | None = None

    def of(self, kind: RetentionKind) -> int | None:
        days: int | None = getattr(self, kind.value)
        return days

    @property
    def any(self) -> bool:
        return any(self.of(kind) for kind in RetentionKind)

    def overridden(self, own: Mapping[RetentionKind, int | None]) -> "RetentionDays":
        """The days of a project with these values: None takes the value of the installation."""
        chosen = {kind: self.of(kind) if own[kind] is None else own[kind] for kind in RetentionKind}
        return RetentionDays(**{kind.value: days or None for kind, days in chosen.items()})

    def cutoffs(self, now: datetime) -> Iterator[tuple[RetentionKind, datetime]]:
        """The deleted kinds. A row is deleted if its moment lies before the cutoff of its kind."""
        for kind in RetentionKind:
            if days := self.of(kind):
                yield kind, now - timedelta(days=days)


@dataclass(frozen=True)
class SweepPlace:
    """Where the next turn of a project continues.

    `moment` and `trace_id`: the last trace that the turn has seen. Traces that must stay lie before
    it. `held_up` counts the pauses in a row in which a run of the project drew its sample.
    """

    kind: RetentionKind
    moment: datetime | None = None
    trace_id: UUID | None = None
    held_up: int = 0


@dataclass(frozen=True)
class SweepTurn:
    """A project whose expired rows are deleted for a few seconds. `place` None: from the start."""

    project_id: UUID
    place: SweepPlace | None = None


@dataclass(frozen=True)
class SweptTurn:
    """The numbers of deleted rows by kind. `place` is None if the project needs no further turn.

    `longest_seconds`: the longest time that one transaction took.
    """

    deleted: dict[str, int]
    place: SweepPlace | None = None
    longest_seconds: float = 0.0


@dataclass(frozen=True)
class SweepOutcome:
    """What a sweep of all projects has done. `failed` counts projects whose turn failed."""

    deleted: dict[str, int]
    failed: int
    longest_seconds: float


@dataclass(frozen=True)
class ExpiredProjects:
    """Projects with rows past their age. `after` is None if there are no further projects."""

    project_ids: list[UUID]
    after: UUID | None = None
