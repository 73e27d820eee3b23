"""The commands of docker-compose.yml and of the image, as plain processes in the same order.

No container engine is available. As with a read-only root file system, nothing may be written to
the working folder and the home.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from graphlib import TopologicalSorter
from pathlib import Path

import httpx
import pytest
from temporalio.testing import WorkflowEnvironment

from tests.compose import dockerfile
from tests.compose.test_compose_file import OURS, SERVICES, environment
from tests.conftest import copied_postgres
from tests.e2e.conftest import METRICS, Assay
from tests.judge_server import JudgeServer
from tests.ports import free_port


def order() -> list[str]:
    """Our services, each after those that it waits for."""
    needs = {name: OURS.intersection(SERVICES[name]["depends_on"]) for name in OURS}
    return list(TopologicalSorter(needs).static_order())


def seen_by(service: str, given: dict[str, str]) -> dict[str, str]:
    """The variables of the image, of the file, and those given that the file passes on."""
    image = dockerfile.variables("base")
    in_file = environment(service)
    fixed = {name: str(value) for name, value in in_file.items() if value is not None}
    passed_on = {name: value for name, value in given.items() if name in in_file}
    return image | fixed | passed_on


def on_this_machine(words: list[str], port: int) -> list[str]:
    """The arguments for this Python, with a free port of the loopback interface."""
    arguments = words[1:] if words[0] == "python" else ["-m", *words]
    return [w.replace("8000", str(port)).replace("0.0.0.0", "127.0.0.1") for w in arguments]


class Production:
    def __init__(self, assay: Assay, given: dict[str, str], always: dict[str, str]) -> None:
        self.assay = assay
        self.given = given
        self.always = always
        self.port = assay.api.base_url.port or 0

    async def start(self, service: str, words: list[str]) -> asyncio.subprocess.Process:
        self.assay.environment = seen_by(service, self.given) | self.always
        return await self.assay.start(service, *on_this_machine(words, self.port))

    async def is_healthy(self, service: str) -> bool:
        check = await self.start(service, dockerfile.command(service, "HEALTHCHECK"))
        return await check.wait() == 0


@pytest.fixture
async def production(
    temporal_server: WorkflowEnvironment,
    tmp_path: Path,
    postgres: str,
    execute_on_postgres: Callable[[str], None],
    task_queue: str,
) -> AsyncIterator[Production]:
    """Nothing runs yet, and the database is empty."""
    home = tmp_path / "home"
    home.mkdir()
    key = environment("api")["ASSAY_BOOTSTRAP_API_KEY"]
    with copied_postgres(postgres, "template0", execute_on_postgres) as url:
        async with (
            JudgeServer(delay=0.05) as judge,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{free_port()}",
                headers={"Authorization": f"Bearer {key}"},
                timeout=30,
            ) as client,
        ):
            given = {
                "ASSAY_DATABASE_URL": url,
                "ASSAY_JUDGE_MODEL": "openai/gpt-4o-mini",
                "ASSAY_JUDGE_API_BASE": judge.openai,
                "OPENAI_API_KEY": "sk-of-the-scripted-judge",
                "TEMPORAL_ADDRESS": temporal_server.client.service_client.config.target_host,
                "TEMPORAL_NAMESPACE": temporal_server.client.namespace,
                "ASSAY_TELEMETRY_HOST": "127.0.0.1",
                "ASSAY_TELEMETRY_PORT": str(free_port()),
            }
            always = {"PATH": os.environ["PATH"], "HOME": str(home), "ASSAY_TASK_QUEUE": task_queue}
            assay = Assay(environment={}, folder=tmp_path, api=client, judge=judge, cwd=home)
            try:
                yield Production(assay, given, always)
            finally:
                await assay.stop()


async def test_the_production_commands_judge_a_run_and_stop(production: Production) -> None:
    assay = production.assay
    started: dict[str, asyncio.subprocess.Process] = {}
    for service in order():
        words = SERVICES[service].get("command") or dockerfile.command(service)
        started[service] = await production.start(service, words)
        if SERVICES[service]["restart"] == "on-failure":
            assert await started[service].wait() == 0, assay.logs()
    await assay.until_ready()

    traces = await assay.store_traces(2)
    run = await assay.until(await assay.post_run(), "COMPLETED", "FAILED")
    assert (run["status"], run["evaluated_count"]) == ("COMPLETED", 2), assay.logs()
    assert len(await assay.scores(run)) == len(traces) * len(METRICS)

    assert await production.is_healthy("api")
    async with asyncio.timeout(60):
        while not await production.is_healthy("worker"):
            assert started["worker"].returncode is None, assay.logs()
    async with httpx.AsyncClient(trust_env=False) as prometheus:
        port = production.given["ASSAY_TELEMETRY_PORT"]
        measures = (await prometheus.get(f"http://127.0.0.1:{port}/metrics")).text
        health = await prometheus.get(f"http://127.0.0.1:{port}/health")
    assert "assay_pairs_judged_total" in measures
    # Temporal is asked for the second time after 30 seconds only.
    unseen = "Temporal has not seen this worker poll yet."
    assert health.json() in ({"status": "ok"}, {"status": "unavailable", "reason": unseen})

    await assay.stop()
    assert started["worker"].returncode == 0, assay.logs()
    # uvicorn ends by the signal that it got, after it has shut down.
    assert started["api"].returncode in (0, -signal.SIGTERM), assay.logs()
    assert list(assay.cwd.iterdir()) == [], "a container could not write this"
