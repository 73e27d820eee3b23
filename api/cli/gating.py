"""Decides a gate from comparisons and scores. Pure: no HTTP, no terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Literal
from xml.etree import ElementTree

from core.errors import Invalid

FailOn = Literal["worse", "not-better"]
OnCannotTell = Literal["report", "pass", "fail"]
Json = Mapping[str, Any]

MIN_SCORES: Final = 5
"""Minimum number of scores; with fewer, the interval is too wide for a decision."""


class GateExit(IntEnum):
    """Exit codes of `assay gate`."""

    PASS = 0
    WORSE = 1
    CANNOT_TELL = 2
    UNUSABLE = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One metric of a gate: its outcome, and the reason in one sentence."""

    metric: str
    outcome: GateExit
    reason: str


def relative_checks(
    comparison: Json, metrics: Sequence[str], *, fail_on: FailOn, cannot_tell: OnCannotTell
) -> list[Check]:
    """Checks the named metrics of a comparison, or all metrics if none is named."""
    checks = [
        Check(one["metric"], _outcome(one["verdict"], fail_on, cannot_tell), one["summary"])
        for one in comparison["metrics"]
        if not metrics or one["metric"] in metrics
    ]
    if not checks:
        raise Invalid("The comparison has no metric to check.")
    return checks


def _outcome(verdict: str, fail_on: FailOn, cannot_tell: OnCannotTell) -> GateExit:
    match verdict:
        case "better":
            return GateExit.PASS
        case "worse":
            return GateExit.WORSE
        case "equivalent":
            return GateExit.WORSE if fail_on == "not-better" else GateExit.PASS
        case _:
            return _undecided(cannot_tell)


def _undecided(cannot_tell: OnCannotTell) -> GateExit:
    match cannot_tell:
        case "pass":
            return GateExit.PASS
        case "fail":
            return GateExit.WORSE
        case _:
            return GateExit.CANNOT_TELL


def absolute_checks(
    scores: Sequence[Json], floors: Mapping[str, float], *, cannot_tell: OnCannotTell
) -> list[Check]:
    """Checks the mean of each metric against its floor, using both ends of its 95 % interval."""
    return [
        _against_floor(
            metric,
            [float(s["value"]) for s in scores if s["name"] == metric and s["value"] is not None],
            floor,
            cannot_tell,
        )
        for metric, floor in floors.items()
    ]


def _against_floor(
    metric: str, values: Sequence[float], floor: float, cannot_tell: OnCannotTell
) -> Check:
    if len(values) < MIN_SCORES:
        reason = f"{metric}: cannot tell; {len(values)} scores, at least {MIN_SCORES} are needed."
        return Check(metric, _undecided(cannot_tell), reason)
    # Imported here, because SciPy takes half a second to load and no other command needs it.
    import numpy as np

    from core.statistics import estimates
    from core.statistics.clusters import clustered

    numbers = np.array(values, dtype=np.float64)
    interval = estimates.bootstrap_interval(clustered(numbers, range(len(values))), alpha=0.05)
    assert interval is not None
    mean = f"mean {numbers.mean():.3f} ({interval.low:.3f} to {interval.high:.3f})"
    if interval.low >= floor:
        return Check(metric, GateExit.PASS, f"{metric}: {mean} reaches {floor:g}.")
    if interval.high < floor:
        return Check(metric, GateExit.WORSE, f"{metric}: {mean} stays below {floor:g}.")
    reason = f"{metric}: cannot tell; {mean} lies on both sides of {floor:g}."
    return Check(metric, _undecided(cannot_tell), reason)


def floors_of(texts: Sequence[str]) -> dict[str, float]:
    """Parses METRIC=VALUE pairs. Raises Invalid."""
    floors = {}
    for text in texts:
        metric, _, value = text.partition("=")
        try:
            floors[metric] = float(value)
        except ValueError:
            raise Invalid(
                f"--min {text}: write it as METRIC=VALUE, such as task_completion=0.8."
            ) from None
        if not metric or not 0 <= floors[metric] <= 1:
            raise Invalid(f"--min {text}: the value must lie between 0 and 1.")
    return floors


def verdict_of(checks: Sequence[Check]) -> GateExit:
    """The exit code: worse if any metric is worse, else undecided if any metric is undecided."""
    outcomes = {check.outcome for check in checks}
    for outcome in (GateExit.WORSE, GateExit.CANNOT_TELL):
        if outcome in outcomes:
            return outcome
    return GateExit.PASS


def junit(checks: Sequence[Check]) -> bytes:
    """The checks as one JUnit test suite; an undecided metric is a skipped test."""
    outcomes = [check.outcome for check in checks]
    suite = ElementTree.Element(
        "testsuite",
        name="assay gate",
        tests=str(len(checks)),
        failures=str(outcomes.count(GateExit.WORSE)),
        skipped=str(outcomes.count(GateExit.CANNOT_TELL)),
        errors="0",
    )
    for check in checks:
        case = ElementTree.SubElement(suite, "testcase", classname="assay.gate", name=check.metric)
        if check.outcome is GateExit.WORSE:
            ElementTree.SubElement(case, "failure", message=check.reason)
        elif check.outcome is GateExit.CANNOT_TELL:
            ElementTree.SubElement(case, "skipped", message=check.reason)
    text: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text


def markdown(checks: Sequence[Check]) -> str:
    """The checks as a Markdown table, for the summary of a pull request."""
    words = {GateExit.PASS: "pass", GateExit.WORSE: "**fail**", GateExit.CANNOT_TELL: "cannot tell"}
    rows = [f"| `{c.metric}` | {words[c.outcome]} | {_cell(c.reason)} |" for c in checks]
    title = {
        GateExit.PASS: "passed",
        GateExit.WORSE: "failed",
        GateExit.CANNOT_TELL: "cannot tell",
    }[verdict_of(checks)]
    table = ["| metric | outcome | reason |", "|---|---|---|", *rows]
    return "\n".join([f"## Assay gate: {title}", "", *table]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "¦").replace("\n", " ").replace("<", "&lt;")
