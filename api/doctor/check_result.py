"""What a check of this installation found, in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    FINE = "fine"
    WARNING = "warning"
    """Works now; will be a problem, or costs something."""
    PROBLEM = "problem"
    """Something does not work."""

    @property
    def exit_code(self) -> int:
        """Of `assay doctor` if this is the worst result."""
        return list(Level).index(self)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`remedy`: what to do; empty if nothing is to be done. Contains no credential and no content
    of a trace.
    """

    check: str
    level: Level
    sentence: str
    remedy: str = ""

    @property
    def text(self) -> str:
        return f"{self.sentence} {self.remedy}".strip()


def fine(check: str, sentence: str) -> CheckResult:
    return CheckResult(check, Level.FINE, sentence)


def warning(check: str, sentence: str, remedy: str) -> CheckResult:
    return CheckResult(check, Level.WARNING, sentence, remedy)


def problem(check: str, sentence: str, remedy: str) -> CheckResult:
    return CheckResult(check, Level.PROBLEM, sentence, remedy)


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def worst(results: Iterable[CheckResult]) -> Level:
    levels = list(Level)
    return max((result.level for result in results), key=levels.index, default=Level.FINE)


def troubles(results: Iterable[CheckResult]) -> list[CheckResult]:
    """Problems first, then warnings."""
    found = [result for result in results if result.level is not Level.FINE]
    return sorted(found, key=lambda result: result.level is Level.WARNING)
