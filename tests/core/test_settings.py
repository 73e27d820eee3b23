"""Errors name the variable of a setting, never its value."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import Misconfigured
from core.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ASSAY_API_PORT", "many", "valid integer"),
        ("ASSAY_API_PORT", "70000", "less than or equal to 65535"),
        ("ASSAY_BOOTSTRAP_API_KEY", "secret-word", "It must have at least 16 characters"),
        ("ASSAY_LOG_LEVEL", "LOUD", "'DEBUG'"),
        ("ASSAY_AUDIT_DAYS", "740000", "less than or equal to 36500"),
        ("ASSAY_TRACE_SETTLE_SECONDS", "1e12", "less than or equal to 2592000"),
        ("ASSAY_SHUTDOWN_GRACE_SECONDS", "1e15", "less than or equal to 86400"),
    ],
)
def test_a_wrong_setting_is_named_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Misconfigured, match=f"^{variable}: .*{said}") as raised:
        Settings.read()
    assert value not in str(raised.value)
    with pytest.raises(ValueError, match="1 validation error") as plain:
        Settings()
    assert value not in str(plain.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"ASSAY_BOOTSTRAP_API_KEY": "secret-word"}, "ASSAY_BOOTSTRAP_API_KEY: It must have"),
        ({"ASSAY_DATABASE_URL": "postgresql://a:secret-word@127.0.0.1:1/none"}, "The database"),
    ],
)
def test_a_worker_that_cannot_begin_says_why_in_one_line(
    tmp_path: Path, setting: dict[str, str], said: str
) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "worker.py")],
        env={**os.environ, "ASSAY_HOME": str(tmp_path), **setting},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "secret-word" not in done.stderr
