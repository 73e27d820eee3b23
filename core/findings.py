"""Findings in stored scores: whether a finding is against the agent, and which tool it names."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

SPEAK_FOR: Final = frozenset(
    ("met", "rightly refused", "right", "needed", "done", "changed with a reason", "grounded")
)
UNDECIDED: Final = frozenset(("cannot tell", "unclear"))
_HALF_GOOD: Final = frozenset(("partly", "done out of order"))


def speaks_for(entry: Mapping[str, Any]) -> bool:
    """Whether a stored finding speaks for the agent.

    A verdict that is not listed here, such as one of a new metric, speaks for the agent if it
    earns points.
    """
    verdict = str(entry.get("verdict", ""))
    if verdict in SPEAK_FOR or entry.get("grounded") is True:
        return True
    if verdict in UNDECIDED or verdict in _HALF_GOOD:
        return False
    points = entry.get("points")
    return isinstance(points, int | float) and points > 0


def is_against(entry: Mapping[str, Any]) -> bool:
    """Whether a stored finding counts against the agent."""
    return str(entry.get("verdict", "")) not in UNDECIDED and not speaks_for(entry)


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """`tool` is empty if the finding names no tool."""

    kind: str
    verdict: str
    text: str
    tool: str
    span_ids: tuple[UUID, ...]

    @property
    def name(self) -> str:
        """`breach: harm`"""
        return f"{self.kind or 'finding'}: {self.verdict or 'no verdict'}"


def against(entries: object, *, most: int) -> list[StoredFinding]:
    """The first findings against the agent.

    Reads the forms of all metric versions, and omits other entries.
    """
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return []
    found = (entry for entry in entries[:most] if isinstance(entry, Mapping))
    return [_read(entry) for entry in found if is_against(entry)]


def _read(entry: Mapping[str, Any]) -> StoredFinding:
    return StoredFinding(
        kind=str(entry.get("kind", "")),
        verdict=str(entry.get("verdict", "")),
        text=str(entry.get("text", "")),
        tool=str(entry.get("tool") or ""),
        span_ids=_uuids(entry.get("span_ids")),
    )


def _uuids(value: object) -> tuple[UUID, ...]:
    found: list[UUID] = []
    for one in value if isinstance(value, Sequence) and not isinstance(value, str) else ():
        with contextlib.suppress(ValueError):
            found.append(UUID(str(one)))
    return tuple(found)
