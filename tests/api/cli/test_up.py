"""`assay up` with real processes, from the first screen to Ctrl-C."""

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

from tests.api.cli.up_process import Up, assay, settings_for, still_running

Starter = Callable[..., Up]


def credentials(settings: dict[str, str]) -> dict[str, str]:
    kept: dict[str, str] = json.loads(
        (Path(settings["ASSAY_HOME"]) / "credentials.json").read_text()
    )
    return kept


def test_starts_of_one_home_from_the_first_to_the_one_after_a_kill(
    tmp_path: Path, start: Starter
) -> None:
    """One test, because each start takes seconds."""
    settings = settings_for(tmp_path / "home")
    first = start(settings)
    first.until("Serving")
    it_shows_what_runs_where_and_judges_the_examples(first)
    a_second_start_on_its_home_or_its_port_is_refused(first, tmp_path / "other")
    first.worker().send_signal(signal.SIGKILL)
    first.until("The worker ended (killed by SIGKILL)")
    family = first.family()
    assert first.stop(signal.SIGINT) == 0
    assert still_running(family) == []
    assert not (tmp_path / "home" / "up.lock").exists()
    assert "Stopped." in first.screen

    second = start(settings, "--workers", "2")
    second.until("Serving")
    it_has_kept_everything_and_judges_nothing_again(second)
    family = second.family()
    workers = [p for p in family if any("worker.py" in a for a in p.cmdline())]
    assert len(workers) == 2
    assert second.stop(signal.SIGKILL) == -signal.SIGKILL
    assert still_running(family) == []

    # Neither the lock nor a port stays occupied, so the next start fails only because of the
    # missing judge.
    third = start(settings | {"ASSAY_JUDGE_MODEL": "nonsense/model"})
    assert third.end() == 1
    assert "The worker did not start: it ended (exit code 2)" in third.screen
    assert "No provider is known for the model 'nonsense/model'" in third.screen
    assert "Traceback" not in third.screen
    assert not (tmp_path / "home" / "up.lock").exists()


def it_shows_what_runs_where_and_judges_the_examples(up: Up) -> None:
    for shown in (
        f"http://127.0.0.1:{up.settings['ASSAY_API_PORT']}/docs",
        f"http://127.0.0.1:{up.settings['ASSAY_TEMPORAL_UI_PORT']}",
        credentials(up.settings)["api_key"],
        "offline/rules, because no provider key was found",
        "COMPLETED: 10 of 10 traces",
        *("where is my parcel", "refund that never", "n/a", "why the lowest"),
    ):
        assert shown in up.screen
    kept = Path(up.settings["ASSAY_HOME"]) / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def a_second_start_on_its_home_or_its_port_is_refused(up: Up, other: Path) -> None:
    again = assay(up.settings, "up")
    assert again.returncode == 1
    assert re.search(r"already runs on .*home \(process \d+\)\..*ASSAY_HOME", again.stderr)
    other.mkdir()
    elsewhere = assay({**up.settings, "ASSAY_HOME": str(other)}, "up")
    assert elsewhere.returncode == 1
    assert f"port {up.settings['ASSAY_API_PORT']} on 127.0.0.1" in elsewhere.stderr
    assert "ASSAY_API_PORT" in elsewhere.stderr
    assert not (other / "up.lock").exists()


def it_has_kept_everything_and_judges_nothing_again(up: Up) -> None:
    kept = credentials(up.settings)
    assert kept["api_key"] in up.screen
    assert "bundled examples" not in up.screen
    headers = {"X-API-Key": kept["api_key"]}
    page = httpx.get(f"{kept['url']}/evaluations/trace-runs", headers=headers).json()
    assert [run["name"] for run in page["items"]] == ["Bundled examples"]


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
