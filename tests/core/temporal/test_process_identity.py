import os
import re
import socket
import subprocess
import sys

from core.temporal.client import connect
from core.temporal.process_identity import process_identity
from tests.api.cli.up_process import ROOT


def test_two_starts_with_the_same_process_id_have_different_identities() -> None:
    code = (
        "import os; os.getpid = lambda: 7\n"
        "from core.temporal.process_identity import process_identity; print(process_identity())"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True,
                       text=True).stdout.strip()
        for _ in range(2)
    )  # fmt: skip
    assert first != second
    assert re.fullmatch(rf"7-[0-9a-f]{{6}}@{re.escape(socket.gethostname())}", first)


def test_the_identity_of_a_process_stays() -> None:
    assert process_identity() == process_identity()
    assert process_identity().startswith(f"{os.getpid()}-")


async def test_temporal_knows_this_process_by_its_identity() -> None:
    client = await connect(default_address="127.0.0.1:1", lazy=True)
    assert client.identity == process_identity()
