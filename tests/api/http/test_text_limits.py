"""Limits of free text and of numbers."""

import sqlite3
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from core import json_codec
from core.db import dialect
from core.settings import Settings
from tests.api.conftest import Service, serve
from tests.api.otlp.otel import exported, span

RUNS, MONITORS = "/evaluations/trace-runs", "/evaluations/monitors"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/traces?name=" + "n" * 513, None),
        ("GET", "/traces?tags=" + "t" * 256, None),
        ("GET", "/sessions?query=" + "q" * 60_000, None),
        ("GET", "/evaluations/trace-scores?name=" + "n" * 256, None),
        ("POST", RUNS, {"metrics": ["task_completion"], "filters": {"name": "n" * 60_000}}),
        ("POST", RUNS, {"metrics": ["task_completion"], "filters": {"tags": ["t" * 9_900]}}),
        (
            "POST",
            MONITORS,
            {
                "name": "m",
                "target_type": "TRACE",
                "cadence": "daily",
                "metrics": ["task_completion"],
                "filters": {"name": "n" * 60_000},
            },
        ),
    ],
)
async def test_text_to_look_for_has_a_length(
    service: Service, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = await service.client.request(method, path, json=body)
    assert answer.status_code == 422, answer.text
    assert len(answer.content) < 2000


@pytest.mark.parametrize(
    "field",
    [{"reason": "r" * 70_000}, {"metadata": {"m": "m" * 70_000}}, {"value": "v" * 70_000}],
)
async def test_what_a_score_says_has_a_length(
    sqlite_service: Service, field: dict[str, Any]
) -> None:
    trace_id = await sqlite_service.post_trace()
    body = {"trace_id": trace_id, "name": "m", "value": "fine", "data_type": "CATEGORICAL"}
    made = await sqlite_service.client.post("/evaluations/trace-scores", json=body)
    assert made.status_code in (200, 201), made.text
    path = f"/evaluations/trace-scores/{made.json()['id']}"
    for method, where, sent in (
        ("POST", "/evaluations/trace-scores", body | field),
        ("PATCH", path, field),
    ):
        answer = await sqlite_service.client.request(method, where, json=sent)
        assert answer.status_code == 422, answer.text


async def test_a_number_that_is_none_beside_a_long_integer_becomes_null(service: Service) -> None:
    long = 123456789012345678901234567890
    text = f'{{"x": NaN, "y": {long}, "z": [Infinity, -Infinity, 1e999]}}'
    held = await exported(service, span(attributes={"input.value": text}))
    assert held["spans"][0]["input"] == {"x": None, "y": long, "z": [None, None, None]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_no_writer_of_json_writes_what_is_no_json(value: float) -> None:
    for holder in ({"a": value}, {"a": value, "long": 2**70}, [[value], 2**70], (value, 2**70)):
        for text in (json_codec.dumps(holder), json_codec.canonical(holder).decode()):
            assert "NaN" not in text
            assert "Infinity" not in text


@pytest.mark.parametrize(
    ("code", "transient"),
    [
        (sqlite3.SQLITE_BUSY, True),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, True),
        (sqlite3.SQLITE_IOERR_FSYNC, True),
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_CANTOPEN, True),
        (sqlite3.SQLITE_ERROR, False),
        (sqlite3.SQLITE_TOOBIG, False),
        (sqlite3.SQLITE_CORRUPT, False),
        (None, True),
    ],
)
def test_a_fault_of_a_statement_is_no_outage(code: int | None, transient: bool) -> None:
    cause = sqlite3.OperationalError("LIKE or GLOB pattern too complex")
    if code is not None:
        cause.sqlite_errorcode = code
    assert dialect.is_transient(OperationalError("SELECT 1", {}, cause)) is transient


async def test_only_listed_models_may_be_named(sqlite_url: str, settings: Settings) -> None:
    settings = settings.model_copy(update={"judge_models": "openai/gpt-5-mini, anthropic/*"})
    async for service in serve(sqlite_url, settings):
        await service.post_trace()
        for model, status in (
            ("openai/gpt-5-mini", 202),
            ("anthropic/claude-any", 202),
            ("offline/rules", 202),
            ("openai/gpt-5-pro", 422),
        ):
            body = {"metrics": ["task_completion"], "model": model}
            answer = await service.client.post(RUNS, json=body)
            assert answer.status_code == status, answer.text
