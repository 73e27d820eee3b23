"""A test that waits forever fails within its time and says where it waits."""

import subprocess
import sys
from pathlib import Path

FOREVER = """
import asyncio

async def wait_for_nothing() -> None:
    await asyncio.Event().wait()

async def test_forever() -> None:
    await asyncio.create_task(wait_for_nothing())

async def test_next() -> None:
    assert True
"""


def test_a_test_that_waits_forever_fails_and_names_the_waiting_function(tmp_path: Path) -> None:
    (tmp_path / "test_forever.py").write_text(FOREVER)

    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "tests.hanging", "-p", "no:cacheprovider"),
            *("-c", "pyproject.toml", "--timeout=1", str(tmp_path)),
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == 1
    assert "Timeout (>1.0s)" in ended.stdout
    assert "in wait_for_nothing" in ended.stdout
    assert "1 failed, 1 passed" in ended.stdout
