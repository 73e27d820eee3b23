"""Temporal behind TLS: certificates and API keys are renewed while runs go on."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import worker
from core.errors import Misconfigured, Unavailable
from core.settings import Settings
from core.temporal import client as temporal_client
from core.temporal.renewal import Renewal, connection_config
from evals.judges.protocol import Question
from tests.tls_gate import TlsGate
from tests.workflows.conftest import METRICS, Stack
from workflows.maintenance_client import MaintenanceClient


@pytest.fixture
async def gate(stack: Stack) -> AsyncIterator[TlsGate]:
    gate = TlsGate(stack.client.service_client.config.target_host)
    async with gate.open():
        yield gate


@pytest.fixture
def config_file(
    gate: TlsGate, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Temporal's own configuration file, which names the certificates."""
    certificate, key = gate.write_client(tmp_path)
    file = tmp_path / "temporal.toml"
    file.write_text(
        f"""
[profile.default]
address = "{gate.address}"
namespace = "{stack.client.namespace}"
api_key = "first-key"
[profile.default.tls]
server_ca_cert_path = "{gate.write_authority(tmp_path)}"
client_cert_path = "{certificate}"
client_key_path = "{key}"
"""
    )
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))
    return file


async def connected(stack: Stack) -> Stack:
    client = await temporal_client.connect(default_address="127.0.0.1:1")
    made = MaintenanceClient(client, task_queue=stack.task_queue)
    return replace(stack, client=client, eval_runs=made)


@pytest.mark.usefixtures("config_file")
async def test_a_new_certificate_is_taken_over_while_a_run_goes_on(
    stack: Stack, gate: TlsGate, tmp_path: Path
) -> None:
    stack = await connected(stack)
    renewal = Renewal(stack.client, "127.0.0.1:1")
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def wait(_question: Question[Any], _times: int) -> None:
        asked.set()
        await may_answer.wait()

    stack.judges.script = wait
    settings = Settings(task_queue=stack.task_queue, shutdown_grace_seconds=5)
    polling = partial(worker.polling, settings, stack.database, stack.judges)
    async with polling(stack.client) as workers:
        run = await stack.post(traces=1)
        await asked.wait()
        await gate.distrust_all_clients()
        with pytest.raises(Unavailable):
            await temporal_client.namespace_of(stack.client)
        TlsGate("unused:1").write_client(tmp_path)
        with pytest.raises(RuntimeError):
            await renewal.renew(workers)
        gate.write_client(tmp_path)
        await renewal.renew(workers)
        may_answer.set()
        await stack.handle(run).result()
    assert len(await stack.scores(run)) == len(METRICS)


async def test_a_new_api_key_is_sent_with_the_next_call(
    stack: Stack, gate: TlsGate, config_file: Path
) -> None:
    stack = await connected(stack)
    renewal = Renewal(stack.client, "127.0.0.1:1")
    await temporal_client.namespace_of(stack.client)
    assert gate.api_keys == {"Bearer first-key"}
    await renewal.renew()
    config_file.write_text(config_file.read_text().replace("first-key", "second-key"))
    await renewal.renew()
    gate.api_keys.clear()
    await temporal_client.namespace_of(stack.client)
    assert gate.api_keys == {"Bearer second-key"}


@pytest.mark.usefixtures("config_file")
async def test_files_that_cannot_be_read_leave_the_connection(stack: Stack, tmp_path: Path) -> None:
    stack = await connected(stack)
    renewal = Renewal(stack.client, "127.0.0.1:1")
    (tmp_path / "client.pem").unlink()
    with pytest.raises(Misconfigured, match=r"No such file or directory: '.*client\.pem'"):
        await renewal.renew()
    assert await temporal_client.namespace_of(stack.client)


@pytest.mark.parametrize("written", ["api_key = sk-secret", 'api_key = "sk-secret', "x"])
def test_a_damaged_file_is_named_without_the_key_that_it_contains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text(f"[profile.default]\n{written}\n")
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))
    with pytest.raises(Misconfigured, match="TOML parse error at line 2, column") as refused:
        connection_config("127.0.0.1:1")
    assert "sk-secret" not in refused.value.message


def test_an_unknown_profile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_PROFILE", "nowhere")
    with pytest.raises(Misconfigured, match="Profile 'nowhere' not found"):
        connection_config("127.0.0.1:1")
