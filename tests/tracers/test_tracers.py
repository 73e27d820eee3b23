"""The real tracers, each around an agent of its framework, against a mock model.

`make tracers` installs them and runs these tests. The tests fail if a release writes spans in
another shape.
"""

import os
import shutil
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from core.queries import trace_loading
from evals.transcript.transcript import Transcript
from tests.api.conftest import Service
from tests.tracers.model_server import TOKENS, ModelServer, model_server

HERE = Path(__file__).parent
ENVIRONMENTS = Path(os.environ.get("TRACERS_FOLDER", HERE.parent.parent / ".tracers"))
NAMES = sorted(file.stem for file in (HERE / "requirements").iterdir())
WORDS = ("QUESTION-11", "PART-41", "SHELF-17", "ANSWER-23")
MAX_SECONDS = 180

pytestmark = pytest.mark.tracers


def run_agent(name: str, server: ModelServer) -> None:
    environment = ENVIRONMENTS / name
    settings = {
        **{k: v for k, v in os.environ.items() if "proxy" not in k.lower()},
        "SERVER_URL": server.url,
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
    }
    if name == "vercel":
        shutil.copy(HERE / "agents" / "run_vercel.mjs", environment)
        command, folder = ["node", "run_vercel.mjs"], environment
    else:
        python = environment / "bin" / "python"
        command, folder = [str(python.absolute()), f"run_{name}.py"], HERE / "agents"
    done = subprocess.run(
        command, cwd=folder, env=settings, capture_output=True, text=True, timeout=MAX_SECONDS
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("name", NAMES)
async def test_a_judge_reads_what_the_tracer_sends(sqlite_service: Service, name: str) -> None:
    if not (ENVIRONMENTS / name).exists():
        pytest.skip(f"{name} is not installed: run make tracers")
    with model_server() as server:
        run_agent(name, server)
    assert server.exports, "nothing was exported"
    for path, kind, body in server.exports:
        # Some tracers put a prefix of their own before the path.
        for signal in ("traces", "logs"):
            if path.endswith(f"/v1/{signal}"):
                answer = await sqlite_service.client.post(
                    f"/v1/{signal}", content=body, headers={"content-type": kind}
                )
                assert answer.status_code == 200, answer.text
    found = [
        trace
        for trace in (await sqlite_service.client.get("/traces")).json()["items"]
        if trace["content"] != "none"
    ]
    assert len(found) == 1
    [trace] = found
    assert (trace["status"], trace["total_tokens"]) == ("COMPLETED", TOKENS)
    transcript = await _read(sqlite_service, UUID(trace["trace_id"]))
    text = transcript.prompt(100_000).text
    assert [word for word in WORDS if word not in text] == []
    called = [call.name for call in transcript.facts.calls if call.name != "final_answer"]
    assert len(called) == 1
    assert called[0].endswith("find_shelf")


async def _read(service: Service, trace_id: UUID) -> Transcript:
    async with service.database.read() as db:
        loaded = await trace_loading.load(db, service.project_id, [trace_id])
    return Transcript(loaded[trace_id])
