"""`assay up` as its user meets it: real processes, from the first screen to Ctrl-C."""

import json
import re
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from tests.cli.up_process import Up, assay, settings_for, still_running

Starter = Callable[..., Up]


def credentials(settings: dict[str, str]) -> dict[str, str]:
    kept: dict[str, str] = json.loads(
        (Path(settings["ASSAY_HOME"]) / "credentials.json").read_text()
    )
    return kept


def test_the_first_start_judges_the_examples_and_the_second_only_serves(
    tmp_path: Path, start: Starter
) -> None:
    settings = settings_for(tmp_path / "home")
    first = start(settings)
    first.until("Serving")
    family = first.family()
    key = credentials(settings)["api_key"]
    url = f"http://127.0.0.1:{settings['ASSAY_API_PORT']}"
    assert f"{url}/docs" in first.screen
    assert f"http://127.0.0.1:{settings['ASSAY_TEMPORAL_UI_PORT']}" in first.screen
    assert key in first.screen
    assert "offline/rules, since no provider key was found" in first.screen
    assert "COMPLETED: 10 of 10 traces" in first.screen
    for shown in ("where is my parcel", "refund that never", "n/a", "why the lowest"):
        assert shown in first.screen
    kept = tmp_path / "home" / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700

    assert first.stop(signal.SIGINT) == 0
    assert still_running(family) == []
    assert not (tmp_path / "home" / "up.lock").exists()
    assert "Stopped." in first.screen

    second = start(settings)
    second.until("Serving")
    assert key in second.screen
    assert "bundled examples" not in second.screen
    page = httpx.get(f"{url}/evaluations/trace-runs", headers={"X-API-Key": key}).json()
    assert [run["name"] for run in page["items"]] == ["Bundled examples"]
    assert second.stop() == 0


def test_a_parent_that_is_killed_takes_its_children_along_and_blocks_nobody(
    tmp_path: Path, start: Starter
) -> None:
    settings = settings_for(tmp_path / "home")
    first = start(settings, "--no-demo")
    first.until("Serving")
    family = first.family()
    assert len(family) >= 3
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    assert still_running(family) == []

    second = start(settings, "--no-demo", "--workers", "2")
    second.until("Serving")
    workers = [p for p in second.family() if any("worker.py" in a for a in p.cmdline())]
    assert len(workers) == 2
    assert second.stop() == 0


def test_a_second_start_on_one_home_and_a_busy_port_are_refused(
    tmp_path: Path, start: Starter
) -> None:
    settings = settings_for(tmp_path / "home")
    running = start(settings, "--no-demo")
    running.until("Serving")

    again = assay(settings, "up")
    assert again.returncode == 1
    assert re.search(r"already runs on .*home \(process \d+\)\..*ASSAY_HOME", again.stderr)

    (tmp_path / "other").mkdir()
    elsewhere = assay({**settings, "ASSAY_HOME": str(tmp_path / "other")}, "up")
    assert elsewhere.returncode == 1
    assert f"port {settings['ASSAY_API_PORT']} on 127.0.0.1" in elsewhere.stderr
    assert "ASSAY_API_PORT" in elsewhere.stderr
    assert not (tmp_path / "other" / "up.lock").exists()

    worker = running.worker()
    worker.send_signal(signal.SIGKILL)
    running.until("The worker ended (killed by SIGKILL)")
    assert running.stop() == 0


@pytest.mark.parametrize(
    "setting", ["ASSAY_API_PORT", "ASSAY_TEMPORAL_PORT", "ASSAY_TEMPORAL_UI_PORT"]
)
def test_a_busy_port_is_named_with_the_setting_that_changes_it(
    tmp_path: Path, setting: str
) -> None:
    settings = settings_for(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(settings[setting])))
        taken.listen()
        done = assay(settings, "up")
    assert done.returncode == 1
    assert f"port {settings[setting]} on 127.0.0.1" in done.stderr
    assert f"set {setting} to another port" in done.stderr


def test_a_judge_that_nobody_knows_ends_the_start_with_its_reason(
    tmp_path: Path, start: Starter
) -> None:
    up = start(settings_for(tmp_path) | {"ASSAY_JUDGE_MODEL": "nonsense/model"})
    assert up.end() == 1
    assert "No provider is known for the model 'nonsense/model'" in up.screen
    assert "Traceback" not in up.screen
    assert not (tmp_path / "up.lock").exists()


def test_a_setting_that_is_wrong_is_named(tmp_path: Path) -> None:
    done = assay(settings_for(tmp_path) | {"ASSAY_API_PORT": "many"}, "up")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ASSAY_API_PORT: ")


def test_a_database_that_is_away_is_told_before_anything_serves(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    settings["ASSAY_DATABASE_URL"] = "postgresql://nobody:nothing@127.0.0.1:1/none"
    done = assay(settings, "up")
    assert done.returncode == 1
    assert "The database cannot be reached" in done.stderr
    assert "nothing" not in done.stderr
    assert [p for p in psutil.process_iter() if _serves(p, settings)] == []


def _serves(process: psutil.Process, settings: dict[str, str]) -> bool:
    try:
        return settings["ASSAY_TEMPORAL_PORT"] in process.cmdline()
    except psutil.Error:
        return False
