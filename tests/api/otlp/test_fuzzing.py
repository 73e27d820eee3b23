"""Random OTLP requests: never a server error, and no valid span lost.

A short form runs with the other tests; `make fuzz-otlp` sends 10,000 requests.
"""

import asyncio
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from api.otlp import json_export, wire
from api.otlp.protobuf_mending import varint
from api.otlp.traces import read
from api.otlp.wire import Encoding
from core.errors import BadRequest
from tests.api.conftest import Service
from tests.api.otlp.otel import TRACE, export, span

EXAMPLES = int(os.environ.get("OTLP_FUZZ_EXAMPLES", "150"))
HTTP_EXAMPLES = max(20, EXAMPLES // 10)
RELAXED: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}

NAMES = st.sampled_from(
    [
        *("input.value", "output.value", "llm.input_messages.0.message.content"),
        *("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.usage.input_tokens"),
        *("gen_ai.operation.name", "gen_ai.tool.name", "gen_ai.prompt.0.content", "gen_ai.prompt"),
        *("ai.operationId", "ai.prompt.messages", "ai.response.toolCalls", "ai.toolCall.args"),
        *("all_messages_events", "final_result", "tool_arguments", "pydantic_ai.all_messages"),
        *("gcp.vertex.agent.llm_request", "gcp.vertex.agent.llm_response"),
        *("traceloop.entity.input", "traceloop.span.kind", "llm.request.functions.0.name"),
        *("langfuse.observation.input", "langfuse.observation.usage_details"),
        *("langsmith.span.kind", "langsmith.span.tags", "mlflow.spanInputs", "mlflow.spanType"),
        *("user_prompt", "tool_input", "session.id", "metadata", "tag.tags", "error.type"),
    ]
)
TEXTS = st.one_of(
    st.text(max_size=20).map(lambda text: text.encode()),
    st.binary(max_size=20),
    st.sampled_from([b"[]", b"{}", b"[{}]", b'[["a"]]', b'{"messages": 7}', b'[{"role": 1}]']),
    st.sampled_from([b"LLM", b"TOOL", b"tool", b"chat", b"execute_tool", b"ai.toolCall", b"nan"]),
)


def framed(tag: int, payload: bytes) -> bytes:
    return bytes([tag]) + varint(len(payload)) + payload


def any_value(levels: int = 3) -> st.SearchStrategy[bytes]:
    plain = st.one_of(
        TEXTS.map(lambda text: framed(0x0A, text)),
        st.integers(0, 2**64 - 1).map(lambda number: b"\x18" + varint(number)),
        st.just(b"\x21\x00\x00\x00\x00\x00\x00\xf8\x7f"),
        st.just(b""),
        st.just(b"\x10\x01"),
    )
    if levels == 0:
        return plain
    inner = any_value(levels - 1)
    array = st.lists(inner, max_size=3).map(
        lambda items: framed(0x2A, b"".join(framed(0x0A, item) for item in items))
    )
    pairs = st.lists(st.tuples(TEXTS, inner), max_size=3).map(
        lambda items: framed(0x32, b"".join(framed(0x0A, _pair(*item)) for item in items))
    )
    return st.one_of(plain, array, pairs)


def _pair(key: bytes, value: bytes) -> bytes:
    return framed(0x0A, key) + framed(0x12, value)


ATTRIBUTES = st.lists(
    st.tuples(st.one_of(NAMES.map(str.encode), TEXTS), any_value()), max_size=6
).map(lambda pairs: b"".join(framed(0x4A, _pair(*pair)) for pair in pairs))
DAMAGE = st.one_of(
    st.just(b""),
    st.binary(max_size=12),
    st.integers(1, 12).map(lambda n: b"\x4a" + bytes([n + 60]) + b"x" * n),
)


@st.composite
def bad_spans(draw: Any) -> bytes:
    """A span with random content, possibly invalid bytes."""
    ids = framed(0x0A, draw(st.sampled_from([TRACE, b"short", bytes(16)])))
    ids += framed(0x12, draw(st.sampled_from([b"\x01" * 8, bytes(8), b""])))
    times = b"\x39" + draw(st.binary(min_size=8, max_size=8))
    times += b"\x41" + draw(st.binary(min_size=8, max_size=8))
    made: bytes = ids + framed(0x2A, draw(TEXTS)) + times + draw(ATTRIBUTES) + draw(DAMAGE)
    return made


def good_span(number: int) -> bytes:
    """A valid span of a trace without random spans."""
    made = span(span_id=number, trace_id=b"\x07" * 16, attributes={"input.value": "hello"})
    return made.SerializeToString()


def request_of(spans: list[bytes]) -> bytes:
    return framed(0x0A, framed(0x12, b"".join(framed(0x12, one) for one in spans)))


@pytest.mark.slow
@settings(max_examples=EXAMPLES, **RELAXED)
@given(st.lists(bad_spans(), max_size=3), st.integers(0, 3), st.randoms())
def test_no_good_span_is_lost_beside_bad_ones(bad: list[bytes], good: int, chance: Any) -> None:
    spans = [*bad, *(good_span(n) for n in range(1, good + 1))]
    chance.shuffle(spans)
    try:
        received = read(wire.read_spans(request_of(spans), Encoding.PROTOBUF))
    except BadRequest:
        assert good == 0
        return
    kept = [trace for trace in received.traces if trace.trace_id.bytes == b"\x07" * 16]
    assert sum(len(trace.spans) for trace in kept) == good
    assert sum(len(t.spans) for t in received.traces) + len(received.refused) >= good


@settings(max_examples=EXAMPLES, **RELAXED)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for encoding in Encoding:
        for reader in (wire.read_spans, wire.read_logs):
            try:
                reader(content, encoding)
            except BadRequest:
                continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("traceId", "spanId", "name", "attributes", "key", "value", "stringValue"),
                    *("events", "status", "code", "kvlistValue", "values", "intValue", "links"),
                    *("startTimeUnixNano", "bytesValue", "arrayValue", "boolValue", "doubleValue"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=EXAMPLES, **RELAXED)
@given(st.lists(JSON, max_size=3))
def test_any_json_beside_a_good_span_costs_it_nothing(others: list[Any]) -> None:
    good = {
        "traceId": "07" * 16,
        "spanId": "0000000000000001",
        "name": "good",
        "startTimeUnixNano": "1790000000000000000",
    }
    spans = [*others, good]
    body = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    received = read(json_export.read_spans(body))
    kept = [trace for trace in received.traces if trace.trace_id.bytes == b"\x07" * 16]
    assert [one.name for trace in kept for one in trace.spans] == ["good"]


@pytest.mark.slow
async def test_the_service_answers_every_request(shared_service: Service) -> None:
    loop = asyncio.get_running_loop()

    @settings(max_examples=HTTP_EXAMPLES, **RELAXED)
    @given(st.lists(bad_spans(), max_size=3))
    def send(bad: list[bytes]) -> None:
        content = request_of([*bad, good_span(1)])
        done = asyncio.run_coroutine_threadsafe(export(shared_service, content), loop)
        answer = done.result(30)
        assert answer.status_code == 200, answer.text
        partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
        assert partial.rejected_spans <= len(bad)

    await asyncio.to_thread(send)
