"""The stack in this process, with real children and real signals."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import psutil
import pytest
from temporalio.testing import WorkflowEnvironment

from core.embedded import ports
from core.embedded import stack as embedded
from core.embedded.home import Home
from core.embedded.process import ProcessRole
from core.embedded.stack import LocalStack, StackPlan
from core.errors import Misconfigured, NotStarted, Unavailable
from core.open_database import open_database
from core.settings import Settings
from tests.api.cli.up_process import settings_for, still_running

KEY = "assay_key_of_the_embedded_stack_test"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in settings_for(tmp_path).items():
        monkeypatch.setenv(name, value)
    return Settings()


class Terminal:
    """The person at the terminal: reads announcements and presses Ctrl-C."""

    def __init__(self) -> None:
        self.announced: list[str] = []
        self._news = asyncio.Event()

    def announce(self, sentence: str) -> None:
        self.announced.append(sentence)
        self._news.set()

    async def sees(self, part: str) -> None:
        async with asyncio.timeout(60):
            while not any(part in sentence for sentence in self.announced):
                self._news.clear()
                await self._news.wait()

    def press(self, number: signal.Signals) -> None:
        os.kill(os.getpid(), number)


def plan_of(settings: Settings) -> StackPlan:
    return StackPlan(settings, Home(settings.home), 1, settings.api_port, KEY)


async def serve(
    settings: Settings, terminal: Terminal, when_ready: Callable[[LocalStack], Awaitable[None]]
) -> list[psutil.Process]:
    """Serves until the terminal stops it. Returns the processes that ran."""
    stack = LocalStack(plan_of(settings), terminal.announce)
    family: list[psutil.Process] = []

    async def ready() -> None:
        family.extend(psutil.Process(child.pid) for child in stack.children)
        await when_ready(stack)

    with Home(settings.home).hold():
        await stack.serve(ready)
    return family


async def test_a_worker_that_dies_is_replaced_and_ctrl_c_ends_all_of_it(
    settings: Settings,
) -> None:
    terminal = Terminal()

    async def when_ready(stack: LocalStack) -> None:
        async with httpx.AsyncClient(headers={"X-API-Key": KEY}) as client:
            url = f"http://127.0.0.1:{settings.api_port}"
            assert (await client.get(f"{url}/traces")).status_code == 200
        worker = stack.children[1]
        first = worker.pid
        psutil.Process(first).kill()
        await terminal.sees("The worker ended (killed by SIGKILL); it restarts in 1 s")
        for _ in range(1000):
            if worker.pid != first:
                break
            await asyncio.sleep(0.01)
        assert worker.pid != first
        terminal.press(signal.SIGINT)

    family = await serve(settings, terminal, when_ready)
    assert still_running(family, seconds=0) == []
    assert terminal.announced[-1].startswith("Stopping.")


async def test_temporal_elsewhere_is_used_and_none_is_started(
    settings: Settings, temporal_server: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.client.service_client.config.target_host)
    monkeypatch.setenv("ASSAY_TASK_QUEUE", "test-elsewhere")
    terminal = Terminal()

    async def when_ready(stack: LocalStack) -> None:
        assert [child.role.name for child in stack.children] == ["The worker", "The API"]
        terminal.press(signal.SIGTERM)

    family = await serve(settings, terminal, when_ready)
    assert still_running(family, seconds=0) == []


async def test_an_error_after_the_start_ends_everything_and_is_raised(
    settings: Settings, temporal_server: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.client.service_client.config.target_host)
    monkeypatch.setenv("ASSAY_TASK_QUEUE", "test-error")
    seen: list[psutil.Process] = []

    async def when_ready(stack: LocalStack) -> None:
        seen.extend(psutil.Process(child.pid) for child in stack.children)
        raise Unavailable("The printer", "Refill it.")

    with pytest.raises(Unavailable, match="The printer cannot be reached"):
        await serve(settings, Terminal(), when_ready)
    assert still_running(seen, seconds=0) == []


async def test_a_child_that_cannot_start_ends_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_JUDGE_MODEL", "nonsense/model")

    async def never(_: LocalStack) -> None:
        raise AssertionError("it never became ready")

    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(NotStarted, match=r"The worker did not start: .*nonsense/model"):
        await serve(settings, Terminal(), never)
    assert still_running(list(set(psutil.Process().children(recursive=True)) - before)) == []


async def test_a_second_ctrl_c_ends_even_children_that_would_take_long(
    settings: Settings, temporal_server: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.client.service_client.config.target_host)
    terminal = Terminal()
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('here', flush=True); time.sleep(600)"
    )
    stubborn = ProcessRole("The worker", "worker-1", [sys.executable, "-c", code], grace=600)
    monkeypatch.setattr(embedded, "worker_role", lambda *_: stubborn)

    async def start(self: LocalStack) -> None:
        worker = self.children[0]
        await worker.start()

        async def ready() -> bool:
            return "here" in worker.log.read_text()

        await worker.wait_until(ready, seconds=30)

    monkeypatch.setattr(LocalStack, "_start", start)
    monkeypatch.setattr(LocalStack, "children", property(lambda self: self._workers))
    presses: list[asyncio.TimerHandle] = []

    async def when_ready(stack: LocalStack) -> None:
        loop = asyncio.get_running_loop()
        terminal.press(signal.SIGINT)
        # One signal to a whole process group arrives twice, and must not count as a second signal.
        terminal.press(signal.SIGINT)
        presses.append(loop.call_later(1.2, terminal.press, signal.SIGINT))

    began = asyncio.get_running_loop().time()
    family = await serve(settings, terminal, when_ready)
    assert still_running(family, seconds=0) == []
    assert 1.2 <= asyncio.get_running_loop().time() - began < 60


@pytest.mark.parametrize(
    ("host", "called"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "[::1]")],
)
def test_the_api_is_called_where_it_can_be_reached(tmp_path: Path, host: str, called: str) -> None:
    settings = Settings(api_host=host, home=tmp_path)
    assert StackPlan(settings, Home(tmp_path), 1, 8000, KEY).api_url == f"http://{called}:8000"


def test_a_free_port_can_be_listened_on(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, api_port=ports.free_port())
    ports.check_ports(settings, with_temporal=False)


def test_a_port_that_is_listened_on_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match=rf"port {port} .* set ASSAY_API_PORT to another"):
            ports.check_ports(Settings(home=tmp_path, api_port=port), with_temporal=False)


def test_one_port_for_two_servers_is_refused(tmp_path: Path) -> None:
    port = ports.free_port()
    with pytest.raises(Misconfigured, match=rf"ASSAY_TEMPORAL_UI_PORT are both {port}"):
        ports.check_ports(
            Settings(home=tmp_path, api_port=port, temporal_ui_port=port, temporal_port=port + 1),
            with_temporal=True,
        )


async def test_a_temporal_elsewhere_that_is_away_is_named_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = f"127.0.0.1:{ports.free_port()}"
    monkeypatch.setenv("TEMPORAL_ADDRESS", away)

    async def never(_: LocalStack) -> None:
        raise AssertionError("it never became ready")

    with pytest.raises(Unavailable, match=rf"Temporal at {away} .*TEMPORAL_ADDRESS"):
        await serve(settings, Terminal(), never)


async def test_a_database_that_is_away_is_one_sentence_without_its_password() -> None:
    url = "postgresql://someone:secret-word@127.0.0.1:1/none"
    with pytest.raises(Unavailable, match="The database cannot be reached") as raised:
        async with open_database(Settings(database_url=url)):
            pass
    assert "secret-word" not in str(raised.value)


async def test_a_schema_left_old_is_refused_where_migrating_is_off(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'empty.db'}", auto_migrate=False)
    with pytest.raises(Misconfigured, match=r"python -m core\.migrations"):
        async with open_database(settings):
            pass


def test_a_missing_temporal_server_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.embedded.stack.sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Misconfigured, match=r"make setup.*TEMPORAL_ADDRESS"):
        LocalStack(plan_of(Settings(home=tmp_path)), print)


def test_the_namespace_of_the_environment_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "night-shift")
    temporal = LocalStack(plan_of(Settings(home=tmp_path)), print).children[0]
    command = list(temporal.role.command)
    assert command[command.index("--namespace") + 1] == "night-shift"
