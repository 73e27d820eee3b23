"""Findings for and against the agent."""

from typing import Any

import pytest

from core import findings


def entry(verdict: str, points: float = 0.0, **more: Any) -> dict[str, Any]:
    return {"kind": "made", "text": "A text.", "verdict": verdict, "points": points, **more}


@pytest.mark.parametrize(
    ("stored", "against"),
    [
        (entry("met"), False),
        (entry("missed"), True),
        (entry("cannot tell"), False),
        (entry("unclear"), False),
        (entry("partly", 0.06), True),
        (entry("done out of order", 0.1), True),
        (entry("hedge", -0.2, grounded=False), True),
        (entry("hedge", grounded=True), False),
        (entry("a verdict of a new metric", 0.5), False),
        (entry("a verdict of a new metric"), True),
        (entry("repeat", -0.5), True),
        ({}, True),
    ],
)
def test_a_finding_counts_against_the_agent(stored: dict[str, Any], against: bool) -> None:
    assert findings.is_against(stored) is against
    assert len(findings.against([stored], most=9)) == against
