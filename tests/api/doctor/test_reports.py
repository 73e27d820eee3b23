"""Results on the command line, in the log of an API, and on the terminal of `assay up`."""

import asyncio
import json
import logging
from pathlib import Path

import pytest
from temporalio.client import Client
from typer.testing import CliRunner

import cli
from api.doctor import examination
from api.doctor.check_result import CheckResult, fine, problem, warning
from api.doctor.start_report import reporting_troubles, troubles_of_stack
from core.db.database import Database
from core.settings import Settings

GOOD = fine("disk", "80.0 GB are free at [here].")
BAD = warning("tracers", "12 traces carry no text.", "Turn it on.")
WORSE = problem("workers", "No worker is running.", "Start one.")


@pytest.fixture
def anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def found(monkeypatch: pytest.MonkeyPatch, *results: CheckResult) -> None:
    async def examine(_: Settings) -> list[CheckResult]:
        return list(results)

    monkeypatch.setattr(examination, "examine", examine)


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize(
    ("results", "code"), [((GOOD,), 0), ((BAD, GOOD), 1), ((GOOD, WORSE, BAD), 2)]
)
def test_the_exit_code_is_that_of_the_worst_finding(
    monkeypatch: pytest.MonkeyPatch, results: tuple[CheckResult, ...], code: int
) -> None:
    found(monkeypatch, *results)
    done = CliRunner().invoke(cli.app, ["doctor"])
    assert done.exit_code == code
    assert "80.0 GB are free at [here]." in done.output
    assert ("Start one." in done.output) is (code == 2)
    printed = CliRunner().invoke(cli.app, ["doctor", "--json"])
    assert printed.exit_code == code
    body = json.loads(printed.output)
    assert body["worst"] == ["fine", "warning", "problem"][code]
    assert [one["sentence"] for one in body["results"]] == [one.sentence for one in results]
    assert set(body["results"][0]) == {"check", "level", "sentence", "remedy"}


@pytest.mark.usefixtures("anywhere")
def test_settings_that_cannot_be_used_exit_with_their_own_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ASSAY_API_PORT", "many")
    done = CliRunner().invoke(cli.app, ["doctor"])
    assert done.exit_code == 3
    assert "ASSAY_API_PORT" in done.output


async def test_the_log_of_an_api_tells_what_is_wrong_at_its_start(
    sqlite: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = await Client.connect("127.0.0.1:1", lazy=True)
    async with reporting_troubles(Settings(home=tmp_path), sqlite, away), asyncio.timeout(20):
        while not [line for line in caplog.records if line.message.startswith("Temporal: ")]:
            await asyncio.sleep(0.01)
    [line] = [line for line in caplog.records if line.message.startswith("Temporal: ")]
    assert (line.name, line.levelno) == ("assay.doctor", logging.ERROR)
    assert "Check that its server runs" in line.message


async def test_the_terminal_of_assay_up_tells_what_is_wrong(
    sqlite: Database, tmp_path: Path
) -> None:
    sentences = [one.sentence for one in await troubles_of_stack(Settings(home=tmp_path), sqlite)]
    assert "No worker is running: traces are stored, and runs wait." in sentences
