"""Each check has its good case, and its bad case with a sentence and a remedy."""

import re
import shutil
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event, text, update

from api.doctor import database as of_database
from api.doctor import host
from api.doctor import workers as of_workers
from api.doctor.check_result import CheckResult, Level, fine, problem, troubles, warning, worst
from api.doctor.examination import examine, examine_database
from core import clock
from core.db.database import Database
from core.db.tables import Worker
from core.ids import ProjectId
from core.provider_status import ProviderStatus
from core.queries import run_rows, server_state, workers
from core.settings import Settings
from core.trace_input import TraceBody
from evals.judges.offline import OFFLINE_MODEL
from tests.conftest import make_project
from tests.factories import new_run, span_body, store, trace_body

GB = 1024**3


def settings(**values: object) -> Settings:
    return Settings.model_validate(values)


def openai(*, available: bool = True) -> ProviderStatus:
    message = "" if available else "Set OPENAI_API_KEY in the environment of the workers."
    return ProviderStatus("openai", "OpenAI", "GPT.", available, message)


async def register(
    database: Database, *providers: ProviderStatus, model: str = "openai/gpt-4o-mini"
) -> None:
    async with database.write() as db:
        await workers.publish(
            db,
            worker_id="1@here",
            started_at=clock.now(),
            default_model=model,
            providers=providers or [openai()],
        )


def levels(results: list[CheckResult]) -> list[tuple[str, Level]]:
    return [(result.check, result.level) for result in results]


def test_the_worst_finding_decides_the_exit_code() -> None:
    good, bad, worse = fine("a", "."), warning("b", ".", "!"), problem("c", ".", "!")
    assert worst([]).exit_code == 0
    assert worst([good]).exit_code == 0
    assert worst([bad, good]).exit_code == 1
    assert worst([bad, worse, good]).exit_code == 2
    assert troubles([good, bad, worse]) == [worse, bad]


async def test_a_healthy_database_is_fine_in_every_respect(database: Database) -> None:
    found = await examine_database(settings(), database)
    assert {level for _, level in levels(found)} == {Level.FINE}
    assert [result.check for result in found] == [
        "database", "migrations", "database", "connections", "clock of the database"
    ]  # fmt: skip


async def test_a_database_that_is_away_is_one_problem() -> None:
    away = Database("postgresql://user:the-password@127.0.0.1:1/assay")
    [found] = await examine_database(settings(), away)
    await away.close()
    assert found.level is Level.PROBLEM
    assert found.sentence.startswith("The database cannot be reached (")
    assert "ASSAY_DATABASE_URL" in found.remedy
    assert "the-password" not in found.text


async def test_a_missing_file_is_named_and_not_made(tmp_path: Path) -> None:
    found = await examine(settings(home=tmp_path / "none"))
    assert found[0].sentence == f"There is no database file {tmp_path}/none/assay.db."
    assert worst(found) is Level.PROBLEM
    assert not (tmp_path / "none").exists()


async def test_an_old_schema_is_named_with_both_versions(sqlite: Database) -> None:
    async with sqlite.write() as db:
        await db.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    found = await of_database.schema(sqlite)
    assert found.level is Level.PROBLEM
    assert found.sentence.startswith("The database is at schema version 0001, this code needs 00")
    assert "python -m core.migrations" in found.remedy


async def test_a_database_that_cannot_be_written_says_so(sqlite: Database) -> None:
    @event.listens_for(sqlite.engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        connection.cursor().execute("PRAGMA query_only = ON")

    assert (await of_database.reach(sqlite)).level is Level.FINE
    found = await of_database.writing(sqlite)
    assert found.level is Level.PROBLEM
    assert found.sentence == "The database can be read but not written (OperationalError)."


@pytest.mark.parametrize(
    ("in_use", "most", "level", "words"),
    [
        (5, 97, Level.FINE, "5 of 97"),
        (80, 97, Level.PROBLEM, "80 of 97"),
        (5, 30, Level.WARNING, "may open 40 connections, and PostgreSQL allows 30"),
    ],
)
async def test_connections_that_run_short_are_counted(
    sqlite: Database,
    monkeypatch: pytest.MonkeyPatch,
    in_use: int,
    most: int,
    level: Level,
    words: str,
) -> None:
    await register(sqlite)

    async def connections(_: object) -> server_state.Connections:
        return server_state.Connections(in_use, most)

    monkeypatch.setattr(server_state, "connections", connections)
    found = await of_database.pool(sqlite, settings())
    assert found.level is level
    assert words in found.sentence


@pytest.mark.parametrize(
    ("seconds", "level", "words"),
    [
        (0.4, Level.FINE, "agree"),
        (-2.5, Level.WARNING, "2.5 s behind"),
        (60, Level.PROBLEM, "60.0 s ahead of"),
    ],
)
def test_clocks_may_differ_by_a_second(seconds: float, level: Level, words: str) -> None:
    found = of_database.clock_result("clock", "it", timedelta(seconds=seconds))
    assert found.level is level
    assert words in found.sentence


async def test_a_worker_whose_clock_is_ahead_is_named(sqlite: Database) -> None:
    await register(sqlite)
    async with sqlite.write() as db:
        await db.execute(update(Worker).values(last_seen=clock.seconds_ago(-30)))
    found = await of_database.clocks(sqlite)
    [ahead] = [result for result in found if result.level is Level.PROBLEM]
    # The check comes a moment later than the worker's report.
    assert re.match(r"The clock of worker 1@here is (29\.\d|30\.0) s ahead", ahead.sentence)


@pytest.mark.parametrize(
    ("free", "level"), [(50 * GB, Level.FINE), (3 * GB, Level.WARNING), (GB // 2, Level.PROBLEM)]
)
def test_a_full_disk_is_a_problem_before_the_store_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    found = host.disk(tmp_path / "not" / "made")
    assert found.level is level
    assert f"{free / GB:.1f} GB are free at {tmp_path}." == found.sentence


async def test_without_a_worker_runs_wait(sqlite: Database) -> None:
    found = await of_workers.presence(sqlite)
    assert found.level is Level.PROBLEM
    assert found.sentence == "No worker is running: traces are stored, and runs wait."
    assert await of_workers.keys(sqlite, settings()) == []
    await register(sqlite)
    assert (await of_workers.presence(sqlite)).sentence == "1 worker running."


async def test_a_worker_that_temporal_does_not_hear_is_named(sqlite: Database) -> None:
    await register(sqlite)
    async with sqlite.write() as db:
        await db.execute(update(Worker).values(started_at=clock.seconds_ago(3600)))
    found = await of_workers.presence(sqlite)
    assert found.level is Level.PROBLEM
    assert found.sentence == "Temporal does not hear from 1@here."


async def test_every_model_in_use_needs_a_key(sqlite: Database) -> None:
    project_id = await make_project(sqlite)
    await register(sqlite, openai(available=False))
    async with sqlite.write() as db:
        await run_rows.create(db, new_run(project_id, model="unheard/of"))
    found = await of_workers.keys(sqlite, settings(judge_models="openai/*, openai/gpt-5"))
    assert {result.level for result in found} == {Level.PROBLEM}
    assert [result.text for result in found] == [
        "No worker can ask 'openai/gpt-4o-mini', which runs, monitors or settings name. "
        "Set OPENAI_API_KEY in the environment of the workers.",
        "No worker can ask 'openai/gpt-5', which runs, monitors or settings name. "
        "Set OPENAI_API_KEY in the environment of the workers.",
        "No provider is known for the model 'unheard/of', which runs or settings name. "
        "Correct the name: `provider/model`, as LiteLLM writes it.",
    ]


async def test_keys_for_all_models_are_fine_and_none_at_all_is_a_warning(sqlite: Database) -> None:
    await register(sqlite)
    [found] = await of_workers.keys(sqlite, settings())
    assert found == fine("provider keys", "The workers have a key for 1 model in use.")
    await register(sqlite, openai(available=False), model=OFFLINE_MODEL)
    [found] = await of_workers.keys(sqlite, settings())
    assert found.level is Level.WARNING
    assert "a baseline and not a verdict" in found.sentence


async def store_all(
    database: Database, project_id: ProjectId, bodies: list[dict[str, Any]]
) -> None:
    async with database.write() as db:
        for body in bodies:
            await store(db, project_id, TraceBody.model_validate(body))


@pytest.fixture
async def silent(sqlite: Database) -> Database:
    """Three traces, two of which carry no text; one of these comes from a known tracer."""
    project_id = await make_project(sqlite, "shop")
    quiet = {"input": None, "output": None}
    named = span_body(kind="LLM", metadata={"otel.scope": "openinference.instrumentation.openai"})
    bodies = [
        trace_body(),
        trace_body(**quiet, spans=[named]),
        trace_body(**quiet, spans=[span_body(kind="LLM")]),
    ]
    await store_all(sqlite, project_id, bodies)
    return sqlite


async def test_a_tracer_that_sends_no_text_is_named_with_its_setting(silent: Database) -> None:
    found = sorted(await of_workers.tracers(silent), key=lambda result: result.sentence)
    assert {result.level for result in found} == {Level.WARNING}
    assert [result.sentence for result in found] == [
        "1 of the 3 newest traces in project 'shop' came from a tracer without any text to judge.",
        "1 of the 3 newest traces in project 'shop' came from the tracer "
        "'openinference.instrumentation.openai' without any text to judge.",
    ]
    assert "OPENINFERENCE_HIDE_INPUTS=false" in found[1].remedy


async def test_traces_with_text_are_fine(sqlite: Database) -> None:
    project_id = await make_project(sqlite)
    await store_all(sqlite, project_id, [trace_body()])
    [found] = await of_workers.tracers(sqlite)
    assert found.level is Level.FINE
