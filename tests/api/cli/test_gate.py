"""`assay compare`, `assay gate` and `assay export` against a running server."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree

import httpx
import pytest
import yaml

from tests.api.cli.up_process import ASSAY, ROOT, assay, environment_of
from tests.factories import trace_body

Settings = dict[str, str]


def judged(api: httpx.Client, numbers: list[float]) -> list[str]:
    """Two runs of offline/rules, because programmatic scores of traces cannot be compared."""
    tag = str(uuid4())
    for number in numbers:
        body = {
            "name": "agent",
            "input": "Where is my order?",
            "output": "It is on its way." if number else "",
            "started_at": "2026-10-01T10:00:00Z",
            "tags": [tag],
        }
        assert api.post("/traces", json=body).status_code == 202
    runs = []
    for _ in range(2):
        answer = api.post(
            "/evaluations/trace-runs",
            json={
                "metrics": ["task_completion"],
                "model": "offline/rules",
                "filters": {"tags": [tag]},
            },
        )
        assert answer.status_code == 202, answer.text
        runs.append(answer.json()["id"])
    return runs


@pytest.fixture(scope="module")
def runs(stack: Settings) -> list[str]:
    kept = json.loads((Path(stack["ASSAY_HOME"]) / "credentials.json").read_text())
    with httpx.Client(base_url=kept["url"], headers={"X-API-Key": kept["api_key"]}) as api:
        started = judged(api, [1.0] * 8)
        for run in started:
            with api.stream("GET", f"/evaluations/trace-runs/{run}/events") as events:
                assert any("done" in line for line in events.iter_lines())
    return started


def test_two_runs_are_compared_in_a_table_and_a_sentence(stack: Settings, runs: list[str]) -> None:
    done = assay(stack, "compare", *runs)
    assert done.returncode == 0, done.stderr
    assert "equivalent" in done.stdout
    assert "task_completion: equivalent" in done.stdout


def test_a_gate_passes_equivalent_runs_and_writes_its_reports(
    stack: Settings, runs: list[str], tmp_path: Path
) -> None:
    junit, summary = tmp_path / "gate.xml", tmp_path / "gate.md"
    done = assay(
        stack,
        "gate",
        "--baseline",
        runs[0],
        "--candidate",
        runs[1],
        "--junit",
        str(junit),
        "--summary",
        str(summary),
    )
    assert done.returncode == 0, done.stderr
    assert ElementTree.parse(junit).getroot().get("failures") == "0"
    assert "Assay gate: passed" in summary.read_text()
    stricter = assay(
        stack, "gate", "--baseline", runs[0], "--candidate", runs[1], "--fail-on", "not-better"
    )
    assert stricter.returncode == 1


def test_a_gate_holds_one_run_against_floors(stack: Settings, runs: list[str]) -> None:
    assert assay(stack, "gate", "--run", runs[0], "--min", "task_completion=0").returncode == 0
    assert assay(stack, "gate", "--run", runs[0], "--min", "task_completion=1").returncode == 1
    unknown = assay(stack, "gate", "--run", runs[0], "--min", "confidence=0.5")
    assert unknown.returncode == 2


def test_a_gate_holds_a_run_over_sessions_against_floors(stack: Settings) -> None:
    address = address_of(stack)
    headers = {"X-API-Key": address["ASSAY_API_KEY"]}
    sessions = [str(uuid4()) for _ in range(5)]
    with httpx.Client(base_url=address["ASSAY_URL"], headers=headers) as api:
        for session in sessions:
            api.post("/traces", json=trace_body(session_id=session)).raise_for_status()
        made = api.post(
            "/evaluations/session-runs/batch",
            json={
                "metrics": ["agent_consistency"],
                "model": "offline/rules",
                "session_ids": sessions,
            },
        )
    assert made.status_code == 202, made.text
    done = assay(stack, "gate", "--run", made.json()["id"], "--min", "agent_consistency=0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agent_consistency: mean" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--run", "nonsense", "--min", "task_completion=0.5"],
        ["--baseline", str(uuid4())],
        ["--baseline", str(uuid4()), "--candidate", str(uuid4())],
        ["--run", str(uuid4()), "--min", "task_completion=high"],
        ["--fail-on", "everything"],
    ],
)
def test_a_gate_that_cannot_be_used_exits_with_3(stack: Settings, arguments: list[str]) -> None:
    done = assay(stack, "gate", *arguments)
    assert done.returncode == 3
    assert done.stderr.strip()


def test_scores_and_traces_are_exported_to_files(
    stack: Settings, runs: list[str], tmp_path: Path
) -> None:
    scores = tmp_path / "scores.csv"
    assert assay(stack, "export", "scores", runs[0], "-o", str(scores)).returncode == 0
    with scores.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 8
    traces = tmp_path / "traces.jsonl"
    assert assay(stack, "export", "traces", "-o", str(traces)).returncode == 0
    assert all(json.loads(line)["trace_id"] for line in traces.read_text().splitlines())
    assert assay(stack, "import", str(traces)).returncode == 0
    missing = assay(stack, "export", "scores", str(uuid4()), "-o", str(tmp_path / "no.csv"))
    assert missing.returncode == 1
    assert list(tmp_path.glob("no.*")) == []


def test_the_pytest_plugin_gates_inside_a_project_of_its_own(
    stack: Settings, runs: list[str], tmp_path: Path
) -> None:
    """Pytest finds the plugin by the entry point of the installed package."""
    (tmp_path / "test_agent.py").write_text(
        "def test_not_worse(assay):\n"
        f"    assay.gate(baseline='{runs[0]}', candidate='{runs[1]}')\n\n"
        "def test_better(assay):\n"
        f"    assay.gate(baseline='{runs[0]}', candidate='{runs[1]}', fail_on='not-better')\n\n"
        "def test_floor(assay):\n"
        f"    assay.check(run='{runs[0]}', floors={{'confidence': 0.5}})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=environment_of(stack) | address_of(stack),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "1 failed, 1 passed, 1 skipped" in done.stdout, done.stdout + done.stderr


def address_of(stack: Settings) -> Settings:
    kept = json.loads((Path(stack["ASSAY_HOME"]) / "credentials.json").read_text())
    return {"ASSAY_URL": kept["url"], "ASSAY_API_KEY": kept["api_key"]}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"baseline": 0, "candidate": 1}, 0),
        ({"baseline": 0, "candidate": 1, "fail-on": "not-better"}, 1),
        ({"run": 0, "min": "task_completion=0\nconfidence=0.5\n", "cannot-tell": "report"}, 2),
        ({}, 3),
    ],
)
def test_the_github_action_runs_the_gate(
    stack: Settings,
    runs: list[str],
    tmp_path: Path,
    given: dict[str, int | str],
    code: int,
) -> None:
    """The last step of the action, with its inputs and an `assay` command on the path."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    step = action["runs"]["steps"][-1]
    inputs = {name: str(one.get("default", "")) for name, one in action["inputs"].items()}
    inputs |= {name: runs[one] if isinstance(one, int) else one for name, one in given.items()}
    address = address_of(stack)
    inputs |= {"url": address["ASSAY_URL"], "api-key": address["ASSAY_API_KEY"]}
    environment = {
        name: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: inputs[found[1]], value)
        for name, value in step["env"].items()
    }
    command = tmp_path / "assay"
    command.write_text("#!/bin/sh\nexec " + shlex.join(ASSAY) + ' "$@"\n')
    command.chmod(0o755)
    summary = tmp_path / "summary.md"
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env={
            **environment_of(stack),
            **environment,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(summary),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert summary.exists() == (code != 3)


def test_a_gate_waits_for_a_run_that_goes_on(stack: Settings) -> None:
    address = address_of(stack)
    headers = {"X-API-Key": address["ASSAY_API_KEY"]}
    with httpx.Client(base_url=address["ASSAY_URL"], headers=headers) as api:
        baseline, candidate = judged(api, [1.0] * 6)
    done = assay(stack, "gate", "--baseline", baseline, "--candidate", candidate)
    assert done.returncode == 0, done.stderr


def test_the_noise_of_a_judge_is_measured_and_shown(stack: Settings, runs: list[str]) -> None:
    done = assay(stack, "noise", runs[0], "--sample", "5")
    assert done.returncode == 0, done.stderr
    assert "task_completion" in done.stdout
    assert "+0.000" in done.stdout, "rules give the same score again"
    assert "±0.000" in assay(stack, "compare", *runs).stdout
    assert assay(stack, "noise", str(uuid4())).returncode == 1
