"""The findings behind a score, as lines below its reason."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from core.truncation import one_line

MAX_SHOWN: Final = 12
_MAX_TEXT: Final = 160

Finding = Mapping[str, Any]


def finding_lines(score: Mapping[str, Any]) -> Iterator[str]:
    """One line per finding: verdict, steps, text. Findings that cost points come first."""
    found = (score.get("metadata") or {}).get("findings") or []
    ranked = sorted(found, key=lambda finding: finding.get("points") or 0.0)
    yield from map(_line, ranked[:MAX_SHOWN])
    if len(ranked) > MAX_SHOWN:
        yield f"and {len(ranked) - MAX_SHOWN} more findings; --json has them all"


def _line(finding: Finding) -> str:
    parts = [str(finding["verdict"])]
    if finding.get("steps"):
        parts.append(f"[{', '.join(map(str, finding['steps']))}]")
    if finding.get("tool"):
        parts.append(str(finding["tool"]))
    text = one_line(str(finding.get("text") or ""), _MAX_TEXT)
    points = finding.get("points")
    earned = f" ({points:+.2f})" if points else ""
    return f"{' '.join(parts)}: {text}{earned}" if text else f"{' '.join(parts)}{earned}"
