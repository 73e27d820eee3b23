"""Keys are made in the database, and work at the API at once."""

from uuid import uuid4

import httpx

from tests.api.cli.up_process import assay

Settings = dict[str, str]


def test_a_key_is_made_shown_once_listed_and_revoked(stack: Settings, api: httpx.Client) -> None:
    made = assay(stack, "keys", "create", "robot", "--project", "lab", "--days", "30")
    key = made.stdout.strip()
    assert made.returncode == 0
    headers = {"X-API-Key": key}
    assert httpx.get(f"{api.base_url}/traces", headers=headers).json()["total"] == 0

    listed = assay(stack, "keys", "list")
    assert key not in listed.stdout
    lines = listed.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if "robot" in line)
    row, below = lines[at : at + 2]
    assert "write in lab" in below
    assert "until 20" in row
    assert key[:13] in below

    assert assay(stack, "keys", "revoke", row.split()[0]).returncode == 0
    assert httpx.get(f"{api.base_url}/traces", headers=headers).status_code == 401
    assert "revoked" in assay(stack, "keys", "list").stdout


def test_a_key_for_any_project_names_one_with_each_request(
    stack: Settings, api: httpx.Client
) -> None:
    key = assay(stack, "keys", "create", "roamer", "--any-project").stdout.strip()
    unnamed = httpx.get(f"{api.base_url}/traces", headers={"X-API-Key": key})
    assert unnamed.status_code == 422
    named = {"X-API-Key": key, "X-Project-Name": "default"}
    assert httpx.get(f"{api.base_url}/traces", headers=named).status_code == 200


def test_a_key_without_a_name_and_one_that_is_unknown_are_refused(stack: Settings) -> None:
    nameless = assay(stack, "keys", "create", " ")
    assert nameless.returncode == 2
    assert "Say what the key is for" in nameless.stderr
    done = assay(stack, "keys", "revoke", str(uuid4()))
    assert done.returncode == 1
    assert done.stderr.startswith("Error: No API key ")
