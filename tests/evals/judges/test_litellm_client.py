"""LiteLLM in a separate process: no output and no network calls."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = """
import asyncio, logging, socket, sys
logging.basicConfig(level=logging.INFO)
reached = []
connect = socket.socket.connect
def watched(self, address):
    reached.append(address)
    return connect(self, address)
socket.socket.connect = watched
from core.errors import JudgeBusy
from evals.judges.protocol import Question
from evals.judges.registry import JudgeConfig, configured_judges
from tests.evals.judges.conftest import QUESTION
from tests.judge_server import JudgeServer, fails

async def main():
    async with JudgeServer([fails(500, "down")]) as server:
        config = JudgeConfig(model="gpt-4o", api_base=server.openai, environment={})
        judges = configured_judges(config)
        for _ in range(2):
            try:
                await judges.judge("gpt-4o").ask(QUESTION)
            except JudgeBusy:
                pass
        await judges.close()
asyncio.run(main())
away = [a for a in reached if a[0] not in ("127.0.0.1", "::1")]
assert not away, away
"""


@pytest.mark.slow
def test_a_judge_writes_nothing_and_reaches_nobody_but_its_provider() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", SCRIPT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
