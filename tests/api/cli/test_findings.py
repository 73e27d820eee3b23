from io import StringIO
from typing import Any

from rich.console import Console

from api.cli.findings import MAX_SHOWN, finding_lines
from api.cli.screens import score_tables

TRACE = "00000000-0000-0000-0000-000000000001"


def finding(verdict: str, points: float, **more: Any) -> dict[str, Any]:
    return {"kind": "wish", "text": "Book room 12.", "verdict": verdict, "steps": [3, 5],
            "span_ids": [], "points": points} | more  # fmt: skip


def score(*findings: dict[str, Any]) -> dict[str, Any]:
    return {"trace_id": TRACE, "name": "task_completion", "status": "SUCCESS", "value": "0.1",
            "data_type": "NUMERIC", "reason": "Not accomplished.",
            "metadata": {"findings": [*findings], "success": False}}  # fmt: skip


def test_findings_are_shown_with_verdict_steps_and_points_the_costly_first() -> None:
    shown = list(finding_lines(score(finding("met", 0.125), finding("wasted", -0.5, tool="find"))))
    assert shown == [
        "wasted [3, 5] find: Book room 12. (-0.50)",
        "met [3, 5]: Book room 12. (+0.12)",
    ]


def test_many_findings_are_counted() -> None:
    shown = list(finding_lines(score(*[finding("met", 0.0)] * (MAX_SHOWN + 3))))
    assert len(shown) == MAX_SHOWN + 1
    assert shown[-1].startswith("and 3 more findings")


def test_a_score_without_findings_has_no_lines() -> None:
    assert list(finding_lines({"metadata": None})) == []


def test_scores_of_sessions_are_shown_by_session() -> None:
    console = Console(width=120, record=True, file=StringIO())
    of_session = {"session_id": "s-1", "name": "agent_reliability", "status": "SUCCESS",
                  "value": "0.4", "data_type": "NUMERIC", "reason": "The worst of 2 traces.",
                  "metadata": {"success": False}}  # fmt: skip
    console.print(score_tables([of_session]))
    shown = console.export_text()
    assert "s-1" in shown
    assert "The worst of 2 traces." in shown


def test_the_tables_of_scores_show_findings_below_the_reason() -> None:
    console = Console(width=120, record=True, file=StringIO())
    console.print(score_tables([score(finding("missed", 0.0))]))
    assert "missed [3, 5]: Book room 12." in console.export_text()
