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


def is_against(verdict: str) -> bool:
    """Whether a finding with this verdict counts against the agent."""
    return verdict not in SPEAK_FOR and verdict not in UNDECIDED


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
    found = (_read(entry) for entry in entries[:most] if isinstance(entry, Mapping))
    return [one for one in found if is_against(one.verdict)]


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
