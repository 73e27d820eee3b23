"""Supervision of real child processes that run a few lines of Python."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from core.embedded import process, stack
from core.embedded.home import Home
from core.embedded.process import ProcessRole, SupervisedProcess
from core.errors import NotStarted
from core.settings import Settings

OBEDIENT = "import time; print('here', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + OBEDIENT


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "logs").mkdir()
    return Home(tmp_path)


class Nursery:
    def __init__(self, home: Home) -> None:
        self.home = home
        self.children: list[SupervisedProcess] = []

    def child(self, code: str, *, grace: float = 20) -> SupervisedProcess:
        role = ProcessRole("The child", "child", [sys.executable, "-c", code], grace)
        self.children.append(SupervisedProcess(role, self.home))
        return self.children[-1]


@pytest.fixture
async def nursery(home: Home) -> AsyncIterator[Nursery]:
    made = Nursery(home)
    yield made
    hurry = asyncio.Event()
    hurry.set()
    for child in made.children:
        await child.stop(hurry=hurry)


async def said_it_is_here(child: SupervisedProcess) -> None:
    async def ready() -> bool:
        return "here" in child.log.read_text()

    await child.wait_until(ready, seconds=20)


def is_gone(pid: int | None) -> bool:
    assert pid is not None
    return not psutil.pid_exists(pid)


async def test_a_child_that_is_asked_to_stop_ends(nursery: Nursery) -> None:
    child = nursery.child(OBEDIENT)
    await child.start()
    await said_it_is_here(child)
    await child.stop(hurry=asyncio.Event())
    assert is_gone(child.pid)


async def test_a_child_that_will_not_end_is_killed_after_its_grace(nursery: Nursery) -> None:
    child = nursery.child(STUBBORN, grace=0.2)
    await child.start()
    await said_it_is_here(child)
    await child.stop(hurry=asyncio.Event())
    assert is_gone(child.pid)


async def test_a_hurry_cuts_the_grace_short(nursery: Nursery) -> None:
    child = nursery.child(STUBBORN, grace=600)
    await child.start()
    await said_it_is_here(child)
    hurry = asyncio.Event()
    stopping = asyncio.create_task(child.stop(hurry=hurry))
    hurry.set()
    await asyncio.wait_for(stopping, 20)
    assert is_gone(child.pid)


async def test_what_a_child_started_ends_with_it(nursery: Nursery) -> None:
    grandchild = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {OBEDIENT!r}])"
    child = nursery.child(f"{grandchild}; {STUBBORN}", grace=0.2)
    await child.start()
    await said_it_is_here(child)
    family = psutil.Process(child.pid).children(recursive=True)
    assert len(family) == 1
    await child.stop(hurry=asyncio.Event())
    psutil.wait_procs(family, timeout=20)
    assert not family[0].is_running() or family[0].status() == psutil.STATUS_ZOMBIE


async def test_a_child_that_was_never_started_needs_no_stopping(nursery: Nursery) -> None:
    await nursery.child(OBEDIENT).stop(hurry=asyncio.Event())


async def never() -> bool:
    return False


async def test_an_end_during_the_start_is_told_with_the_log_s_last_line(nursery: Nursery) -> None:
    child = nursery.child("import sys; print('the disk is full'); sys.exit(3)")
    await child.start()
    with pytest.raises(NotStarted, match=r"exit code 3\).*child\.log\. .*the disk is full"):
        await child.wait_until(never, seconds=20)


async def test_a_start_that_takes_too_long_is_told(nursery: Nursery) -> None:
    child = nursery.child("import time; time.sleep(600)")
    await child.start()
    with pytest.raises(NotStarted, match=r"not ready after 0 seconds\. Its log: \S+\.$"):
        await child.wait_until(never, seconds=0.1)


async def test_a_child_that_dies_is_started_again_and_that_is_said(nursery: Nursery) -> None:
    child = nursery.child(OBEDIENT)
    await child.start()
    await said_it_is_here(child)
    first, said = child.pid, asyncio.Queue[str]()
    keeping = asyncio.create_task(child.supervise(said.put_nowait))
    assert first is not None
    psutil.Process(first).kill()
    sentence = await asyncio.wait_for(said.get(), 20)
    assert "The child ended (killed by SIGKILL); it restarts in 1 s" in sentence
    for _ in range(1000):
        if child.pid != first:
            break
        await asyncio.sleep(0.02)
    keeping.cancel()
    assert child.pid != first
    assert child.pid is not None
    assert psutil.pid_exists(child.pid)


async def test_a_child_that_keeps_dying_is_started_ever_later(nursery: Nursery) -> None:
    child = nursery.child("raise SystemExit(1)")
    await child.start()
    waits = [child._backoff() for _ in range(8)]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of such a death")
def test_a_process_is_killed_with_its_parent(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    parent = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, {str(root / 'core/embedded/parent_death.py')!r}"
        f", str(os.getpid()), sys.executable, '-c', {OBEDIENT!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        process.wait()
    _, alive = psutil.wait_procs([child], timeout=20)
    assert alive == []


def test_a_process_whose_parent_is_gone_already_does_not_start(tmp_path: Path) -> None:
    script = Path(__file__).parents[3] / "core/embedded/parent_death.py"
    command = [sys.executable, "-c", "print('started')"]
    done = subprocess.run(
        [sys.executable, str(script), "1", *command], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")


@pytest.mark.parametrize(("said", "expected"), [(None, "2"), ("7", "7")])
async def test_a_child_has_few_heaps_unless_the_environment_says_otherwise(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch, said: str | None, expected: str
) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    if said is not None:
        monkeypatch.setenv("MALLOC_ARENA_MAX", said)
    monkeypatch.setenv("OF_THE_PARENT", "handed on")
    names = ("MALLOC_ARENA_MAX", "OF_THE_PARENT")
    code = f"import os, time; print(*(os.environ[n] for n in {names}), 'here', flush=True)"
    child = nursery.child(f"{code}; time.sleep(600)")
    await child.start()
    await said_it_is_here(child)
    assert child.log.read_text().split() == [expected, "handed", "on", "here"]


@pytest.mark.parametrize(
    ("role", "gets"),
    [
        ("temporal", {"PATH"}),
        ("api", {"PATH", "ASSAY_LOG_LEVEL", "TEMPORAL_ADDRESS"}),
        ("worker", {"PATH", "ASSAY_LOG_LEVEL", "TEMPORAL_ADDRESS", "OPENAI_API_KEY", "MY_PROXY"}),
    ],
)
def test_each_process_gets_the_variables_of_its_role_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, role: str, gets: set[str]
) -> None:
    given = ["PATH", "ASSAY_LOG_LEVEL", "TEMPORAL_ADDRESS", "OPENAI_API_KEY", "MY_PROXY"]
    home = Home(tmp_path)
    plan = stack.StackPlan(Settings(_env_file=None, home=tmp_path), home, 1, 8000, "key")
    for name in (*given[1:], "ASSAY_BOOTSTRAP_API_KEY"):
        monkeypatch.setenv(name, "value")
    roles = {
        "temporal": stack.temporal_role(plan),
        "api": stack.api_role(plan),
        "worker": stack.worker_role(plan, 1),
    }
    found = process.environment(roles[role])
    assert set(found) & {*given, "ASSAY_BOOTSTRAP_API_KEY"} == gets
    assert ("ASSAY_ALLOWED_HOSTS" in found) == (role == "api")
