"""Log records with messages of spans, and signals that are dropped."""

from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from tests.api.conftest import Service
from tests.api.otlp.otel import (
    BEGAN,
    PROTOBUF,
    ROOT,
    SECOND,
    TRACE,
    any_value,
    export,
    pairs,
    read_trace,
    request,
    span,
)

CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}


def record(name: str, body: Any = None, at: float = 0, **fields: Any) -> LogRecord:
    made: dict[str, Any] = {
        "event_name": name,
        "trace_id": TRACE,
        "span_id": ROOT,
        "time_unix_nano": BEGAN + int(at * SECOND),
        "body": any_value(body),
    }
    return LogRecord(**(made | fields))


async def log(service: Service, *records: LogRecord) -> None:
    scope = ScopeLogs(scope=InstrumentationScope(name="some.tracer"), log_records=records)
    sent = ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[scope])])
    answer = await service.client.post(
        "/v1/logs", content=sent.SerializeToString(), headers={"content-type": PROTOBUF}
    )
    assert (answer.status_code, answer.content) == (200, b"")


QUESTION = record("gen_ai.user.message", {"content": "Where?"})
ANSWER = record("gen_ai.choice", {"index": 0, "message": {"content": "Here."}}, at=1)
SPAN = request(span(attributes=CALL, name="chat m")).SerializeToString()


@pytest.mark.parametrize("order", ["spans first", "logs first", "between"])
async def test_log_events_reach_their_span_in_any_order(service: Service, order: str) -> None:
    if order == "spans first":
        await export(service, SPAN)
    await log(service, QUESTION)
    if order == "between":
        await export(service, SPAN)
    await log(service, ANSWER)
    # Exporters repeat requests after an unclear outcome.
    await log(service, QUESTION)
    if order == "logs first":
        held = await read_trace(service)
        assert held["status"] == "RUNNING"
        await export(service, SPAN)
    held = await read_trace(service)
    [found] = held["spans"]
    assert (found["name"], found["kind"], found["parent_span_id"]) == ("chat m", "LLM", None)
    assert found["input"] == {"messages": [{"role": "user", "content": "Where?"}]}
    assert found["output"] == {"messages": [{"role": "assistant", "content": "Here."}]}
    assert (held["status"], held["content"]) == ("COMPLETED", "whole")
    assert held["input"] == found["input"]


async def test_the_messages_of_one_event_are_read_as_well(sqlite_service: Service) -> None:
    said = [{"role": "user", "parts": [{"type": "text", "content": "Where?"}]}]
    details = record(
        "", attributes=pairs({"event.name": "gen_ai.client.inference.operation.details"})
    )
    details.attributes.extend(pairs({"gen_ai.input.messages": said}))
    await log(sqlite_service, details)
    await export(sqlite_service, SPAN)
    assert (await read_trace(sqlite_service))["spans"][0]["input"] == {"messages": said}


@pytest.mark.parametrize(
    "record",
    [
        record("http.request", {"content": "x"}),
        record("", "Application started"),
        record("gen_ai.user.message", {"content": "x"}, trace_id=b"", span_id=b""),
        record("gen_ai.evaluation.result", {"score": 1}),
    ],
)
async def test_other_log_records_are_accepted_and_dropped(
    sqlite_service: Service, record: LogRecord
) -> None:
    await log(sqlite_service, record)
    assert (await sqlite_service.client.get("/traces")).json()["total"] == 0


async def test_logs_come_as_json_too(sqlite_service: Service) -> None:
    body = {
        "resourceLogs": [
            {
                "scopeLogs": [
                    {
                        "logRecords": [
                            {
                                "traceId": TRACE.hex(),
                                "spanId": ROOT.hex(),
                                "timeUnixNano": str(BEGAN),
                                "attributes": [
                                    {
                                        "key": "event.name",
                                        "value": {"stringValue": "gen_ai.user.message"},
                                    }
                                ],
                                "body": {"stringValue": '{"content": "Where?"}'},
                            },
                            None,
                        ]
                    }
                ]
            }
        ]
    }
    answer = await sqlite_service.client.post("/v1/logs", json=body)
    assert (answer.status_code, answer.json()) == (200, {})
    assert (await read_trace(sqlite_service))["spans"][0]["input"] == {
        "messages": [{"role": "user", "content": "Where?"}]
    }


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/metrics"])
async def test_empty_exports_are_fine_and_other_types_are_415(
    shared_service: Service, path: str
) -> None:
    for kind, empty in ((PROTOBUF, b""), ("application/json; charset=utf-8", b"{}")):
        headers = {"content-type": kind}
        answer = await shared_service.client.post(path, content=empty, headers=headers)
        assert (answer.status_code, answer.content) == (200, empty)
    answer = await shared_service.client.post(
        path, content=b"", headers={"content-type": "text/plain"}
    )
    assert answer.status_code == 415
    assert PROTOBUF in answer.json()["message"]


async def test_a_tracer_without_content_is_told_once(sqlite_service: Service) -> None:
    silent = request(span(attributes=CALL))
    silent.resource_spans[0].scope_spans[0].scope.name = "openinference.instrumentation.openai"
    content = silent.SerializeToString()
    first = await export(sqlite_service, content)
    assert b"OPENINFERENCE_HIDE_INPUTS" in first.content
    assert (await export(sqlite_service, content)).content == b""
    assert (await read_trace(sqlite_service))["content"] == "none"
    other = await sqlite_service.key()
    again = await export(sqlite_service, content, x_api_key=other, x_project_name="other")
    assert b"OPENINFERENCE_HIDE_INPUTS" in again.content


async def test_a_project_that_sends_messages_as_logs_is_told_nothing(
    sqlite_service: Service,
) -> None:
    await log(sqlite_service, QUESTION)
    assert (await export(sqlite_service, SPAN)).content == b""
