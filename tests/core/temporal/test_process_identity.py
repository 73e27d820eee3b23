import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core.temporal import process_identity as identity_of_process
from core.temporal.client import connect
from core.temporal.process_identity import is_running, process_identity
from tests.api.cli.up_process import ROOT

PRINTS_ITS_IDENTITY = (
    "from core.temporal.process_identity import process_identity\n"
    "print(process_identity(), flush=True); input()"
)


@contextmanager
def another_process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-c", PRINTS_ITS_IDENTITY]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def start_in(identity: str) -> str:
    found = re.fullmatch(rf"\d+-([0-9a-f]{{6}})@{re.escape(socket.gethostname())}", identity)
    assert found
    return found[1]


def test_two_starts_have_different_marks_whatever_their_process_ids() -> None:
    with another_process() as (_, first), another_process() as (_, second):
        assert len({start_in(first), start_in(second), start_in(process_identity())}) == 3


def test_the_identity_of_a_process_stays() -> None:
    assert process_identity() == process_identity()
    assert process_identity().startswith(f"{os.getpid()}-")


async def test_temporal_knows_this_process_by_its_identity() -> None:
    client = await connect(default_address="127.0.0.1:1", lazy=True)
    assert client.identity == process_identity()


def test_a_process_runs_until_it_is_killed_and_even_while_its_parent_does_not_notice() -> None:
    with another_process() as (process, identity):
        assert is_running(identity)
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not is_running(identity)
        process.wait()
        assert not is_running(identity)


def test_an_earlier_start_another_host_and_other_names_are_not_this_process() -> None:
    pid, host = os.getpid(), socket.gethostname()
    assert is_running(process_identity())
    for other in (f"{pid}-000000@{host}", f"{pid}@{host}", f"x-000000@{host}", host, "",
                  process_identity().replace("@", "@not-")):  # fmt: skip
        assert not is_running(other)


def test_without_marks_of_starts_a_running_process_id_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(identity_of_process, "_OWN_START", None)
    host = socket.gethostname()
    with another_process() as (process, identity):
        assert is_running(identity)
        assert is_running(f"{process.pid}-000000@{host}")
    assert not is_running(identity)
    assert not is_running(f"{10**20}-000000@{host}")
    assert is_running(f"1-000000@{host}")  # belongs to another user, unless the tests run as root
