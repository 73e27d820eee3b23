"""Exports of other tools: recognized, read, stored, and shown as a judge reads them."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet
import pytest

from api.cli.client import Client
from api.cli.reading import as_judged, trace_of_answer, trace_of_export
from api.importers import catalog
from api.importers.importing import Report, first_trace, source_of, store_file
from api.importers.source import nanoseconds, span_id, trace_id
from core.errors import Invalid
from core.ids import Scope
from evals.transcript.facts import Facts
from tests.api.conftest import Service
from tests.api.importers import exports

Records = list[dict[str, Any]]
CASES: list[tuple[Callable[[], Records], str, int]] = [
    (exports.langfuse, "Langfuse traces", 4),
    (exports.langfuse_observations, "Langfuse traces", 3),
    (exports.langsmith, "LangSmith runs", 4),
    (exports.phoenix, "Phoenix spans", 4),
    (exports.phoenix_api, "Phoenix spans", 4),
    (exports.mlflow, "MLflow traces", 4),
    (exports.messages, "OpenAI-style messages", 3),
    (exports.otlp, "OTLP requests", 4),
]


def lines(path: Path, records: Records) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


async def client_of(service: Service) -> Client:
    key = await service.key(scope=Scope.WRITE, project_id=service.project_id)
    return Client("http://assay", key, transport=httpx.ASGITransport(service.app))


@pytest.mark.parametrize(("made", "name", "spans"), CASES)
async def test_an_export_is_stored_as_the_run_it_was(
    sqlite_service: Service, tmp_path: Path, made: Callable[[], Records], name: str, spans: int
) -> None:
    path = lines(tmp_path / "export.jsonl", made())
    source = source_of(path)
    assert source is not None
    assert source.name == name
    bad: list[str] = []
    async with await client_of(sqlite_service) as client:
        for _ in range(2):
            report = await store_file(client, path, source, on_bad=bad.append)
    assert bad == []
    assert (report.spans, report.refused, report.records) == (spans, 0, len(made()))
    page = (await sqlite_service.client.get("/traces")).json()
    assert page["total"] == 1
    [trace] = page["items"]
    assert trace["span_count"] == spans
    if made is not exports.messages:
        assert trace["total_tokens"] == 80
    if made is not exports.langfuse_observations:
        assert (trace["session_id"], trace["status"]) == ("s-1", "COMPLETED")
    answer = (await sqlite_service.client.get(f"/traces/{trace['trace_id']}")).json()
    stored = trace_of_answer(answer)
    for word in exports.WORDS:
        assert word in as_judged(stored)
    assert [call.name for call in Facts(stored).calls] == ["find_shelf"]


@pytest.mark.parametrize(("made", "name", "spans"), CASES)
def test_a_dry_run_shows_the_first_trace(
    tmp_path: Path, made: Callable[[], Records], name: str, spans: int
) -> None:
    path = lines(tmp_path / "export.jsonl", made())
    source = source_of(path)
    assert source is not None
    report = Report(name)
    text = as_judged(trace_of_export(first_trace(path, source, report)))
    assert all(word in text for word in exports.WORDS)
    assert report.spans == spans
    assert name in report.sentence()


@pytest.mark.parametrize("form", ["array", "answer of an API", "gzip", "indented", "parquet"])
def test_exports_come_in_many_files(tmp_path: Path, form: str) -> None:
    records = exports.phoenix()
    path = tmp_path / "export"
    match form:
        case "array":
            path.write_text(json.dumps(records))
        case "answer of an API":
            path.write_text(json.dumps({"data": records, "next_cursor": None}))
        case "gzip":
            path.write_bytes(gzip.compress("\n".join(map(json.dumps, records)).encode()))
        case "indented":
            path.write_text(json.dumps({"data": records}, indent=2))
        case "parquet":
            names = {name for record in records for name in record}
            rows = [{name: record.get(name) for name in sorted(names)} for record in records]
            pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    source = source_of(str(path))
    assert source is not None
    assert source.name == "Phoenix spans"
    report = Report(source.name)
    text = as_judged(trace_of_export(first_trace(str(path), source, report)))
    assert report.spans == 4
    assert all(word in text for word in exports.WORDS)


async def test_what_cannot_be_read_is_told_and_costs_nothing_else(
    sqlite_service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "runs.jsonl"
    good = [json.dumps(run) for run in exports.langsmith()]
    rest = ["not json", "[]", '{"other": 1}', '{"run_type": "llm", "id": "x"}']
    path.write_text("\n".join([*good, *rest]))
    source = source_of(str(path))
    assert source is not None
    bad: list[str] = []
    async with await client_of(sqlite_service) as client:
        report = await store_file(client, str(path), source, on_bad=bad.append)
    assert (report.spans, report.records, len(report.unread)) == (4, 8, 4)
    assert len(bad) == 4
    assert "line 5" in bad[0]
    assert "4 could not be read" in report.sentence()


@pytest.mark.parametrize(
    "content", ['{"name": "t", "started_at": "2026-01-01T00:00:00Z"}', "{}", ""]
)
def test_assays_own_form_and_unknown_files_are_nobody_elses(tmp_path: Path, content: str) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(content + "\n")
    assert source_of(str(path)) is None


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="No such file"):
        source_of(str(tmp_path / "missing"))


def test_every_source_recognizes_its_own_records_alone() -> None:
    assert len(catalog.sources()) == 6
    for made, name, _ in CASES:
        found = [source.name for source in catalog.sources() if source.recognizes(made()[0])]
        assert found == [name]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-03-01T10:00:00Z", 1_772_359_200_000_000_000),
        ("2026-03-01T10:00:00", 1_772_359_200_000_000_000),
        (1_772_359_200, 1_772_359_200_000_000_000),
        (1_772_359_200.5, 1_772_359_200_500_000_000),
        (1_772_359_200_000, 1_772_359_200_000_000_000),
        (1_772_359_200_000_000_000, 1_772_359_200_000_000_000),
        ("1772359200", 1_772_359_200_000_000_000),
        (None, 0),
        ("soon", 0),
        (-1, 0),
    ],
)
def test_times_in_any_unit(written: Any, expected: int) -> None:
    assert nanoseconds(written) == expected


def test_ids_are_kept_or_made_the_same_each_time() -> None:
    assert trace_id("AB" * 16) == "ab" * 16
    assert trace_id("0a000000-0000-4000-8000-000000000001") == "0a000000000040008000000000000001"
    assert trace_id("tr-1") == trace_id("tr-1") != trace_id("tr-2")
    assert len(span_id("x")) == 16
