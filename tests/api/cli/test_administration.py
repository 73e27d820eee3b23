"""Projects, key rotation, usage and the audit log on the command line."""

import json
import re

import httpx

from tests.api.cli.up_process import assay
from tests.factories import trace_body

Settings = dict[str, str]


def test_projects_are_created_renamed_and_deleted(stack: Settings, api: httpx.Client) -> None:
    made = assay(stack, "projects", "create", "bench", "--description", "Load.")
    assert made.returncode == 0, made.stderr
    project_id = made.stdout.strip()
    taken = assay(stack, "projects", "create", "bench")
    assert (taken.returncode, "already" in taken.stderr) == (1, True)
    assert assay(stack, "projects", "rename", project_id, "load").returncode == 0
    assert "load" in assay(stack, "projects", "list").stdout
    assert assay(stack, "projects", "rename", project_id, "").returncode == 2
    deleted = assay(stack, "projects", "delete", project_id, "--yes")
    assert deleted.returncode == 0, deleted.stderr
    shown = api.get(f"/projects/{project_id}")
    assert shown.status_code == 404 or shown.json()["status"] == "DELETING"


def test_a_key_is_rotated_with_an_overlap(stack: Settings, api: httpx.Client) -> None:
    old = assay(stack, "keys", "create", "ci", "--project", "default").stdout.strip()
    listed = api.get("/api-keys").json()["items"]
    [key_id] = [one["id"] for one in listed if one["name"] == "ci"]
    made = assay(stack, "keys", "rotate", key_id, "--overlap-seconds", "60")
    assert made.returncode == 0, made.stderr
    for key in (old, made.stdout.strip()):
        answer = httpx.get(f"{api.base_url}/traces", headers={"X-API-Key": key})
        assert answer.status_code == 200
    assert assay(stack, "keys", "rotate", key_id).returncode == 0
    refused = httpx.get(f"{api.base_url}/traces", headers={"X-API-Key": old})
    assert refused.status_code == 401


def test_usage_and_the_audit_log_are_shown(stack: Settings) -> None:
    usage = assay(stack, "usage", "--group-by", "metric")
    assert usage.returncode == 0, usage.stderr
    headings = " ".join(usage.stdout.split())
    for heading in ("calls", "tokens", "repairs", "repair cost", "pairs", "saved"):
        assert heading in headings
    assert isinstance(json.loads(assay(stack, "usage", "--json").stdout), list)
    assay(stack, "projects", "create", "audited")
    shown = assay(stack, "audit")
    assert shown.returncode == 0, shown.stderr
    assert "create_project" in shown.stdout
    assert "command line" in shown.stdout
    entries = json.loads(assay(stack, "audit", "--limit", "1", "--json").stdout)["items"]
    assert len(entries) == 1


def test_a_project_gets_a_budget_per_month(stack: Settings, api: httpx.Client) -> None:
    project_id = assay(stack, "projects", "create", "frugal").stdout.strip()
    for amount, stored in (("12.5", 12.5), ("none", None)):
        done = assay(stack, "projects", "budget", project_id, amount)
        assert done.returncode == 0, done.stderr
        assert api.get(f"/projects/{project_id}").json()["monthly_budget_usd"] == stored
    assert assay(stack, "projects", "budget", project_id, "0").returncode == 2


def test_a_project_gets_days_of_retention(stack: Settings, api: httpx.Client) -> None:
    project_id = assay(stack, "projects", "create", "tidy").stdout.strip()
    chosen = ("--traces", "30", "--runs", "forever", "--usage", "default")
    done = assay(stack, "projects", "retention", project_id, *chosen)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "traces: kept for 30 days",
        "runs: kept for ever",
        "judgements: as the installation says",
        "usage: as the installation says",
    ]
    stored = api.get(f"/projects/{project_id}").json()
    assert (stored["retention_traces_days"], stored["retention_runs_days"]) == (30, 0)
    assert assay(stack, "projects", "retention", project_id).stdout == done.stdout
    for wrong in ("0", "-1", "36501", "1.5", "never"):
        assert assay(stack, "projects", "retention", project_id, "--runs", wrong).returncode == 2


def test_a_run_that_pauses_at_its_budget_is_followed_no_further_and_resumed(
    stack: Settings, api: httpx.Client
) -> None:
    api.post("/traces", json=trace_body(tags=["frugal"])).raise_for_status()
    chosen = ("-m", "task_completion", "-f", "tags=frugal", "--model", "ollama/missing")
    done = assay(stack, "run", *chosen, "--max-tokens", "10")
    assert done.returncode == 1
    assert "Paused at its budget: 0 of 10 tokens used, 1 pair left" in done.stderr
    found = re.search(r"resume (\S+) --max-tokens", done.stdout)
    assert found, done.stdout
    too_little = assay(stack, "resume", found[1], "--max-tokens", "11")
    assert (too_little.returncode, "at least" in too_little.stderr) == (1, True)
    resumed = assay(stack, "resume", found[1], "--max-tokens", "1000000")
    assert resumed.returncode == 0, resumed.stderr
    assert "continues" in resumed.stdout


def test_the_doctor_finds_a_running_stack_in_order(stack: Settings, api: httpx.Client) -> None:
    done = assay(stack, "doctor", "--json")
    assert done.returncode in (0, 1), done.stderr  # a nearly full disk is not the stack's
    levels = {one["check"]: one["level"] for one in json.loads(done.stdout)["results"]}
    named = ("database", "migrations", "Temporal", "namespace", "search attributes", "workers")
    assert {name: levels[name] for name in (*named, "task queues")} == dict.fromkeys(
        (*named, "task queues"), "fine"
    )
