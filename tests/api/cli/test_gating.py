"""The decisions and the output of a gate."""

from typing import Any
from xml.etree import ElementTree

import pytest

from api.cli import gating
from api.cli.gating import Check, GateExit
from core.errors import Invalid


def comparison(*verdicts: str) -> dict[str, Any]:
    return {
        "metrics": [
            {"metric": f"m{number}", "verdict": verdict, "summary": f"m{number}: {verdict}."}
            for number, verdict in enumerate(verdicts)
        ]
    }


@pytest.mark.parametrize(
    ("verdicts", "fail_on", "cannot_tell", "code"),
    [
        (["better", "equivalent"], "worse", "report", 0),
        (["better", "equivalent"], "not-better", "report", 1),
        (["better", "worse"], "worse", "report", 1),
        (["cannot tell", "better"], "worse", "report", 2),
        (["cannot tell", "worse"], "worse", "report", 1),
        (["cannot tell"], "worse", "pass", 0),
        (["cannot tell"], "worse", "fail", 1),
    ],
)
def test_verdicts_become_exit_codes(
    verdicts: list[str], fail_on: gating.FailOn, cannot_tell: gating.OnCannotTell, code: int
) -> None:
    checks = gating.relative_checks(
        comparison(*verdicts), [], fail_on=fail_on, cannot_tell=cannot_tell
    )
    assert gating.verdict_of(checks) == code


def test_only_the_named_metrics_are_checked() -> None:
    found = gating.relative_checks(
        comparison("better", "worse"), ["m0"], fail_on="worse", cannot_tell="report"
    )
    assert [check.metric for check in found] == ["m0"]
    with pytest.raises(Invalid):
        gating.relative_checks(comparison(), [], fail_on="worse", cannot_tell="report")


@pytest.mark.parametrize(
    ("values", "floor", "code"),
    [
        ([0.9] * 20 + [0.8] * 20, 0.8, GateExit.PASS),
        ([0.3] * 20 + [0.4] * 20, 0.8, GateExit.WORSE),
        ([1.0, 0.6] * 6, 0.8, GateExit.CANNOT_TELL),
        ([1.0] * 4, 0.8, GateExit.CANNOT_TELL),
    ],
)
def test_a_floor_is_held_against_the_interval_of_the_mean(
    values: list[float], floor: float, code: GateExit
) -> None:
    scores: list[dict[str, Any]] = [{"name": "m", "value": str(value)} for value in values]
    scores += [{"name": "m", "value": None}, {"name": "other", "value": "0.0"}]
    [check] = gating.absolute_checks(scores, {"m": floor}, cannot_tell="report")
    assert check.outcome is code
    assert check.reason.startswith("m: ")


@pytest.mark.parametrize("text", ["m", "m=high", "=0.5", "m=2"])
def test_a_floor_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        gating.floors_of([text])


def test_the_report_is_junit_and_markdown() -> None:
    checks = [
        Check("a", GateExit.PASS, "a: better."),
        Check("b", GateExit.WORSE, "b: worse | by <b>."),
        Check("c", GateExit.CANNOT_TELL, "c: cannot tell."),
    ]
    suite = ElementTree.fromstring(gating.junit(checks))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert [case.get("name") for case in suite] == ["a", "b", "c"]
    page = gating.markdown(checks)
    assert "## Assay gate: failed" in page
    assert "| `b` | **fail** | b: worse ¦ by &lt;b>. |" in page
