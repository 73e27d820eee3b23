"""Downloads, read back with common libraries."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from api.exports import formats, streams
from core.db.tables import EvalRun
from core.ids import ScoreStatus, TargetType
from core.owner_counts import OwnerCounts
from core.queries import export_reads, run_pairs, run_rows
from core.usage import Usage
from tests.api.conftest import Service
from tests.factories import new_run, new_score, store_traces

FINDING = {
    "kind": "wish",
    "text": "=HYPERLINK(1)",
    "verdict": "met",
    "steps": [3, 5],
    "span_ids": ["a", "b"],
    "points": 0.5,
}


async def judged_run(service: Service, reason: str = "It did, as asked.") -> EvalRun:
    traces = await store_traces(service.database, service.project_id, 3)
    async with service.database.write() as db:
        run = await run_rows.create(db, new_run(service.project_id))
        found: list[tuple[Any, Any]] = [(0.5, ScoreStatus.SUCCESS), (None, ScoreStatus.FAILED)]
        found.append((None, ScoreStatus.SUCCESS))
        await run_pairs.record(
            db,
            [
                new_score(
                    run,
                    str(trace),
                    number=number,
                    status=status,
                    reason=reason,
                    usage=Usage(calls=2, cost_usd=0.5, repair_calls=1, repair_cost_usd=0.25),
                    metadata={
                        "threshold": 0.5,
                        "success": True,
                        "findings": [FINDING],
                        "judge": {"model": "openai/gpt"},
                        "applicable": number is not None,
                    },
                )
                for trace, (number, status) in zip(traces, found, strict=True)
            ],
        )
    return run


async def export(service: Service, run: EvalRun, kind: str) -> bytes:
    answer = await service.client.get(f"/evaluations/trace-runs/{run.id}/scores.{kind}")
    assert answer.status_code == 200, answer.text
    assert f'filename="scores-{run.id}.{kind}"' in answer.headers["content-disposition"]
    return answer.content


async def test_scores_as_json_lines(service: Service) -> None:
    run = await judged_run(service)
    lines = [json.loads(line) for line in (await export(service, run, "jsonl")).splitlines()]
    assert sorted(str(line["value"]) for line in lines) == ["0.5", "None", "None"]
    assert lines[0]["findings"] == [FINDING]
    assert lines[0]["model"] == "openai/gpt"
    assert (lines[0]["repair_calls"], lines[0]["repair_cost_usd"]) == (1, 0.25)


@pytest.mark.parametrize("reason", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
async def test_no_cell_of_a_csv_is_a_formula(service: Service, reason: str) -> None:
    run = await judged_run(service, reason)
    text = (await export(service, run, "csv")).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["reason"] for row in rows] == [f"'{reason}"] * 3
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    assert sorted(row["value"] for row in rows) == ["", "", "0.5"]
    assert json.loads(rows[0]["findings"]) == [FINDING]
    assert (rows[0]["repair_calls"], rows[0]["repair_cost_usd"]) == ("1", "0.25")


async def test_scores_as_parquet_have_typed_columns(service: Service) -> None:
    run = await judged_run(service)
    content = await export(service, run, "parquet")
    table = pq.read_table(io.BytesIO(content))
    assert table.num_rows == 3
    assert str(table.schema.field("value").type) == "double"
    assert str(table.schema.field("created_at").type) == "timestamp[us, tz=UTC]"
    assert table.column("repair_cost_usd").to_pylist() == [0.25] * 3
    assert table.column("findings").to_pylist()[0] == [FINDING]
    frame = pd.read_parquet(io.BytesIO(content))
    assert frame["value"].mean() == 0.5
    assert frame["status"].tolist().count("FAILED") == 1


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
async def test_more_scores_than_a_page_are_all_exported(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(export_reads, "SCORES_PER_PAGE", 2)
    run = await judged_run(sqlite_service)
    content = await export(sqlite_service, run, kind)
    if kind == "parquet":
        assert pq.read_table(io.BytesIO(content)).num_rows == 3
    else:
        assert len(content.splitlines()) == (4 if kind == "csv" else 3)


async def test_pages_of_a_parquet_file_are_gathered_into_row_groups(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await judged_run(sqlite_service)
    monkeypatch.setattr(export_reads, "SCORES_PER_PAGE", 1)
    file = pq.ParquetFile(io.BytesIO(await export(sqlite_service, run, "parquet")))
    assert (file.num_row_groups, file.metadata.num_rows) == (1, 3)
    monkeypatch.setattr(formats, "ROWS_PER_GROUP", 2)
    file = pq.ParquetFile(io.BytesIO(await export(sqlite_service, run, "parquet")))
    assert (file.num_row_groups, file.metadata.num_rows) == (2, 3)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
async def test_a_run_without_scores_is_a_valid_empty_file(service: Service, kind: str) -> None:
    async with service.database.write() as db:
        run = await run_rows.create(db, new_run(service.project_id))
    content = await export(service, run, kind)
    if kind == "parquet":
        assert pq.read_table(io.BytesIO(content)).num_rows == 0
    else:
        assert len(content.splitlines()) == (1 if kind == "csv" else 0)


async def test_scores_of_a_session_run(service: Service) -> None:
    async with service.database.write() as db:
        run = await run_rows.create(
            db,
            new_run(
                service.project_id,
                target_type=TargetType.SESSION,
                metric_names=["agent_reliability"],
            ),
        )
        await run_pairs.record(db, [new_score(run, "-session")])
    answer = await service.client.get(f"/evaluations/session-runs/{run.id}/scores.csv")
    [row] = csv.DictReader(io.StringIO(answer.text))
    assert row["target_id"] == "'-session"


async def test_traces_come_back_as_they_can_be_posted_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_reads, "TRACES_PER_PAGE", 2)
    kept = await store_traces(service.database, service.project_id, 5, tags=["kept"])
    await store_traces(service.database, service.project_id, 1, tags=["other"])
    answer = await service.client.get("/traces.jsonl", params={"tags": "kept"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["trace_id"] for line in lines] == [str(trace) for trace in kept]
    assert lines[0]["spans"][0]["name"] == "find_order"
    posted = await service.client.post("/traces", json=lines[0])
    assert posted.status_code == 202


async def test_traces_as_parquet(service: Service) -> None:
    await store_traces(service.database, service.project_id, 3)
    answer = await service.client.get("/traces.parquet")
    frame = pd.read_parquet(io.BytesIO(answer.content))
    assert len(frame) == 3
    assert json.loads(frame["input"][0]) == "Where is my order 4711?"


async def test_unknown_formats_filters_and_runs_are_refused(service: Service) -> None:
    run = await judged_run(service)
    client = service.client
    path = f"/evaluations/trace-runs/{run.id}"
    assert (await client.get(f"{path}/scores.xlsx")).status_code == 422
    assert (await client.get("/traces.csv")).status_code == 422
    assert (await client.get("/traces.jsonl", params={"tag": "x"})).status_code == 422
    other = f"/evaluations/session-runs/{run.id}/scores.csv"
    assert (await client.get(other)).status_code == 404


async def test_large_traces_are_exported_one_at_a_time(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [await service.post_trace(input={"n": n}) for n in range(3)]
    whole = (await service.client.get("/traces.jsonl")).content
    assert {json.loads(line)["trace_id"] for line in whole.splitlines()} == set(ids)
    pages: list[int] = []
    traces = export_reads.traces

    async def counted(*of: Any) -> AsyncIterator[Any]:
        async for page in traces(*of):
            pages.append(len(page))
            yield page

    monkeypatch.setattr(export_reads, "traces", counted)
    monkeypatch.setattr(export_reads, "MAX_PAGE_BYTES", 1)
    assert (await service.client.get("/traces.jsonl")).content == whole
    assert pages == [1, 1, 1]


async def test_one_project_does_not_take_every_export(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_of_projects", counts := OwnerCounts())
    counts.add(sqlite_service.project_id, 3)
    refused = await sqlite_service.client.get("/traces.jsonl")
    assert refused.status_code == 503
    assert "3 exports of this project are running" in refused.json()["detail"]
    counts.remove(sqlite_service.project_id)
    assert (await sqlite_service.client.get("/traces.jsonl")).status_code == 200
    assert counts.of(sqlite_service.project_id) == 2
