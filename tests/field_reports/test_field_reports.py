"""Reported requests of tracers, with the expected traces.

Every file of `reports` is one report. The test sends its requests in order and then repeats them,
because exporters repeat requests and nothing may count twice.
"""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from core.queries import trace_loading
from core.queries.trace_settling import settle_traces
from evals.transcript.transcript import Transcript
from tests.api.conftest import Service

REPORTS = sorted((Path(__file__).parent / "reports").glob("*.json"))


async def send(service: Service, report: dict[str, Any]) -> str:
    """All messages of the partial successes."""
    messages = ""
    for request in report["requests"]:
        answer = await service.client.post(request["path"], json=request["body"])
        assert answer.status_code == 200, answer.text
        partial = answer.json().get("partialSuccess", {})
        assert int(partial.get("rejectedSpans", 0)) == 0
        messages += partial.get("errorMessage", "")
    return messages


@pytest.mark.parametrize("file", REPORTS, ids=lambda file: file.stem)
async def test_a_field_report(sqlite_service: Service, file: Path) -> None:
    report = json.loads(file.read_text())
    expect = report["expect"]
    message = await send(sqlite_service, report)
    assert expect.get("message", "") in message
    await send(sqlite_service, report)
    trace_id = UUID(report["trace"])
    found = (await sqlite_service.client.get(f"/traces/{trace_id}")).json()
    assert found["total_tokens"] == expect["tokens"]
    assert found["status"] == expect.get("status", "COMPLETED")
    for field, name in (
        *(("session_id", "session"), ("user_id", "user"), ("content", "content")),
        *(("tags", "tags"), ("total_cost", "cost"), ("latency_ms", "latency")),
    ):
        if name in expect:
            assert found[field] == expect[name]
    if "content" not in expect and expect["words"]:
        assert found["content"] != "none"
    await check_judged(sqlite_service, trace_id, expect)
    if "settled" in expect:
        await settle_traces(sqlite_service.database, after_seconds=0)
        settled = (await sqlite_service.client.get(f"/traces/{trace_id}")).json()
        assert settled["status"] == expect["settled"]


async def check_judged(service: Service, trace_id: UUID, expect: dict[str, Any]) -> None:
    async with service.database.read() as db:
        loaded = await trace_loading.load(db, service.project_id, [trace_id])
    transcript = Transcript(loaded[trace_id])
    text = transcript.prompt(100_000).text
    assert [word for word in expect["words"] if word not in text] == []
    assert [call.name for call in transcript.facts.calls] == expect["calls"]
    assert len(transcript.facts.failed_calls) == expect.get("failed", 0)
