"""State of a run's workflow in Temporal."""

from enum import StrEnum


class WorkflowState(StrEnum):
    OPEN = "OPEN"
    CLOSED = "CLOSED"
    ABSENT = "ABSENT"
