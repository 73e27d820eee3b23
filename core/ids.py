"""Identifiers and the closed sets of values that every layer shares."""

from enum import StrEnum
from typing import NewType
from uuid import UUID

ProjectId = NewType("ProjectId", UUID)
TraceId = NewType("TraceId", UUID)
SpanId = NewType("SpanId", UUID)
RunId = NewType("RunId", UUID)
MonitorId = NewType("MonitorId", UUID)


class TraceStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"


class SpanKind(StrEnum):
    AGENT = "AGENT"
    TOOL = "TOOL"
    LLM = "LLM"
    RETRIEVER = "RETRIEVER"
    CHAIN = "CHAIN"
    EMBEDDING = "EMBEDDING"
    OTHER = "OTHER"


class SpanStatus(StrEnum):
    UNSET = "UNSET"
    OK = "OK"
    ERROR = "ERROR"


class TargetType(StrEnum):
    TRACE = "TRACE"
    SESSION = "SESSION"


class RunStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"

    @property
    def terminal(self) -> bool:
        return self in (RunStatus.COMPLETED, RunStatus.FAILED)


class PausedBy(StrEnum):
    """The owner of the budget at which a run is paused."""

    RUN = "RUN"
    PROJECT = "PROJECT"


class MonitorStatus(StrEnum):
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"


class ScoreStatus(StrEnum):
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    PENDING = "PENDING"


class ScoreSource(StrEnum):
    AUTOMATED = "AUTOMATED"
    ANNOTATION = "ANNOTATION"
    PROGRAMMATIC = "PROGRAMMATIC"


class ScoreType(StrEnum):
    NUMERIC = "NUMERIC"
    BOOLEAN = "BOOLEAN"
    CATEGORICAL = "CATEGORICAL"


class Scope(StrEnum):
    """What an API key may do; each scope includes the ones before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


RESERVED_KEY_NAMES = ("bootstrap", "assay up")
"""Names of API keys whose text is a setting; a changed setting replaces the key."""
