"""The image is built from the lock, runs without root, and starts modules of ours."""

import importlib
import importlib.util
import re
from fnmatch import fnmatch

import pytest

from tests.compose.dockerfile import ROOT, TEXT, command, stages

ROLES = ("api", "worker")


def copied() -> list[str]:
    """The paths of this repository that the image contains."""
    lines = (line.split()[1:-1] for line in TEXT.splitlines() if line.startswith("COPY "))
    return [path for paths in lines for path in paths if not path.startswith(("--", "/"))]


def test_packages_come_from_the_lock_with_their_hashes() -> None:
    packages = "\n".join(stages()["packages"])
    assert "--require-hashes" in packages
    assert "--no-index" in packages
    assert '"/src[tracing]"' in packages


@pytest.mark.parametrize("role", ROLES)
def test_no_process_of_the_image_runs_as_root(role: str) -> None:
    users = [line.split()[1] for line in stages()[role] if line.startswith("USER ")]
    user, _, group = users[-1].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert stages()[role].index(f"USER {users[-1]}") > 0
    assert not any(line.startswith(("RUN", "COPY")) for line in after(f"USER {users[-1]}", role))


def after(instruction: str, role: str) -> list[str]:
    lines = stages()[role]
    return lines[lines.index(instruction) + 1 :]


@pytest.mark.parametrize("role", ROLES)
def test_the_final_image_has_no_sources_and_no_tools_of_the_build(role: str) -> None:
    lines = [line for line in stages()[role] if line.startswith("COPY")]
    assert lines == ["COPY --from=packages /opt/assay /opt/assay"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("instruction", ["CMD", "HEALTHCHECK"])
def test_every_command_starts_what_there_is(role: str, instruction: str) -> None:
    words = command(role, instruction)
    if "-c" in words:
        compile(words[words.index("-c") + 1], "<health check>", "exec")
        return
    module = words[words.index("-m") + 1] if "-m" in words else words[1].split(":")[0]
    assert importlib.util.find_spec(module) is not None
    if words[0] == "uvicorn":
        factory = words[1].split(":")[1]
        assert hasattr(importlib.import_module(module), factory)


def test_the_health_check_of_a_worker_knows_whether_it_polls() -> None:
    """tests/core/queries has the tests of the module itself."""
    assert command("worker", "HEALTHCHECK") == ["python", "-m", "core.queries.worker_health"]


def test_the_health_check_of_the_api_asks_the_port_it_listens_on() -> None:
    assert "--port=8000" in command("api")
    assert "EXPOSE 8000" in stages()["api"]
    assert "http://127.0.0.1:8000/ready" in command("api", "HEALTHCHECK")[-1]


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert lines[1] == "*", "everything is ignored unless it is named"
    for path in copied():
        matches = list(ROOT.glob(path))
        assert matches, path
        assert all(match.name in kept for match in matches), path
    assert all(any(fnmatch(name, path) for path in copied()) for name in kept)


def test_the_image_contains_every_package_and_module_of_the_distribution() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    line = next(row for row in text.splitlines() if row.startswith("include = "))
    assert set(re.findall(r'"(\w+)\*"', line)) <= set(copied())
