"""The marks of findings: a letter, a number, and a tone for or against the agent."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeGuard
from uuid import UUID

from core.findings import UNDECIDED, is_against, speaks_for

if TYPE_CHECKING:
    from core.db.tables import Score


_LETTERS: Final = {
    "wish": "W",
    "breach": "B",
    "untruth": "U",
    "call": "C",
    "missing": "M",
    "item": "P",
    "unplanned": "N",
    "waste": "R",
    "moment": "H",
}
_WORDS: Final = {
    "wish": "wish",
    "breach": "breach",
    "untruth": "untruth",
    "call": "call",
    "missing": "missing",
    "item": "plan item",
    "unplanned": "unplanned action",
    "waste": "waste",
    "moment": "moment",
}
_MILD: Final = frozenset(
    ("partly", "lapse", "no consequence", "vague", "out of order", "done out of order", "needless")
)
MAX_FINDINGS: Final = 200
_MAX_KEYED: Final = 9


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding of a score.

    `key` is its keyboard shortcut: 1 to 9, empty for further findings.
    """

    mark: str
    tone: str
    text: str
    verdict: str
    steps: tuple[int, ...]
    span_ids: tuple[UUID, ...]
    points: float
    tool: str
    against: bool
    key: str


def of_score(score: "Score") -> list[FindingView]:
    """In the order of the judge's answer; empty for scores of releases that did not store
    findings.
    """
    return of_entries(score.meta.get("findings"))


def of_entries(entries: object) -> list[FindingView]:
    """Views of stored entries of any metric version; omits entries of other forms."""
    if not _is_list(entries):
        return []
    counts: dict[str, int] = {}
    views: list[FindingView] = []
    for entry in entries[:MAX_FINDINGS]:
        if isinstance(entry, Mapping):
            views.append(_view(entry, counts, len(views)))
    return views


def _view(entry: Mapping[str, Any], counts: dict[str, int], place: int) -> FindingView:
    kind, verdict = str(entry.get("kind", "")), str(entry.get("verdict", ""))
    letter = _LETTERS.get(kind) or kind[:1].upper() or "F"
    counts[letter] = counts.get(letter, 0) + 1
    steps = entry.get("steps")
    points = entry.get("points")
    return FindingView(
        mark=f"{letter}{counts[letter]}",
        tone="met" if speaks_for(entry) else _tone(kind, verdict),
        text=str(entry.get("text", "")),
        verdict=verdict,
        steps=tuple(one for one in steps if isinstance(one, int)) if _is_list(steps) else (),
        span_ids=_uuids(entry.get("span_ids")),
        points=float(points) if isinstance(points, int | float) else 0.0,
        tool=str(entry.get("tool") or ""),
        against=is_against(entry),
        key=str(place + 1) if place < _MAX_KEYED else "",
    )


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _uuids(value: object) -> tuple[UUID, ...]:
    found: list[UUID] = []
    for one in value if _is_list(value) else ():
        with contextlib.suppress(ValueError):
            found.append(UUID(str(one)))
    return tuple(found)


def _tone(kind: str, verdict: str) -> str:
    """A class of the stylesheet for a finding that does not speak for the agent."""
    if verdict in UNDECIDED:
        return "open"
    if verdict in _MILD or kind in ("waste", "breach"):
        return "brc"
    return "unt" if kind == "untruth" else "miss"


def legend(views: Sequence[FindingView]) -> str:
    """The legend of the used letters, such as `W wish, B breach`."""
    letters = list(dict.fromkeys(view.mark[0] for view in views))
    words = {letter: _WORDS[kind] for kind, letter in _LETTERS.items()}
    return ", ".join(f"{letter} {words.get(letter, 'finding')}" for letter in letters)


@dataclass(frozen=True, slots=True)
class FindingCount:
    """The number of findings of one letter that count against the agent."""

    text: str
    tone: str


def counts_against(score: "Score") -> list[FindingCount]:
    """Short counts of a score's findings against the agent, such as `2W`, `1B`."""
    counted: dict[str, tuple[int, str]] = {}
    for view in of_score(score):
        if view.against:
            letter = view.mark[0]
            counted[letter] = (counted.get(letter, (0, ""))[0] + 1, view.tone)
    return [FindingCount(f"{count}{letter}", tone) for letter, (count, tone) in counted.items()]
