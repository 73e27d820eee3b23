"""The alert rules, the dashboard and the runbook fit each other and are read by Prometheus."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCS = Path(__file__).parents[2] / "docs"
RULES = DOCS / "telemetry" / "alerts.yml"
DASHBOARD: dict[str, Any] = json.loads((DOCS / "telemetry" / "dashboard.json").read_text())
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RUNBOOK = (DOCS / "operations.md").read_text()


def expressions() -> list[str]:
    shown = [target["expr"] for panel in PANELS for target in panel["targets"]]
    return [*(alert["expr"] for alert in ALERTS), *shown]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_leads_to_a_paragraph_that_says_what_to_do(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert alert["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
    paragraph = re.search(rf"^#### {name}\n\n(.+?)(?=\n\n#|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert paragraph is not None
    assert len(paragraph[1].split()) > 20
    assert alert["annotations"]["summary"].endswith(".")
    assert alert["labels"]["severity"] in ("page", "ticket", "info")


def test_each_paragraph_belongs_to_an_alert() -> None:
    described = re.findall(r"^#### (Assay\w+)$", RUNBOOK, re.MULTILINE)
    assert described == [alert["alert"] for alert in ALERTS]


def test_every_expression_is_one_that_prometheus_reads() -> None:
    parser = pytest.importorskip("promql_parser")
    for expression in expressions():
        parser.parse(expression.replace("$__rate_interval", "5m"))
    with pytest.raises(ValueError, match=r"."):
        parser.parse("sum(rate(assay_pairs_judged_total[5m])")


def test_promtool_accepts_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool, which comes with Prometheus, is not installed")
    checked = subprocess.run(
        [promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_panels_have_a_place_of_their_own_and_a_title() -> None:
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
    assert all(panel["title"] for panel in PANELS)
