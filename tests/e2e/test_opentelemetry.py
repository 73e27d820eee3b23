"""Spans of the real OpenTelemetry SDK, sent by its real exporter to a real process."""

import asyncio
from uuid import UUID

import openai
import pytest
from openinference.instrumentation import using_session, using_user
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import StatusCode, Tracer, format_trace_id

from tests.e2e.conftest import API_KEY, Assay, Json
from tests.judge_server import says


def provider(
    assay: Assay, *, compression: Compression = Compression.Gzip, batched: bool = True
) -> TracerProvider:
    exporter = OTLPSpanExporter(
        endpoint=f"{str(assay.api.base_url).rstrip('/')}/v1/traces",
        headers={"Authorization": f"Bearer {API_KEY}"},
        compression=compression,
        timeout=20,
    )
    made = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    made.add_span_processor((BatchSpanProcessor if batched else SimpleSpanProcessor)(exporter))
    return made


async def read(assay: Assay, trace_id: int) -> Json:
    answer = await assay.api.get(f"/traces/{UUID(hex=format_trace_id(trace_id))}")
    assert answer.status_code == 200, assay.logs()
    found: Json = answer.json()
    return found


def run_agent(tracer: Tracer) -> int:
    """An agent with the GenAI conventions; its root span ends and is sent last."""
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_order"}
    with tracer.start_as_current_span("invoke_agent support", attributes=agent) as root:
        root.set_attribute("gen_ai.conversation.id", "s-1")
        root.set_attribute(
            "gen_ai.input.messages",
            '[{"role": "user", "parts": [{"type": "text", "content": "Where is 4711?"}]}]',
        )
        with tracer.start_as_current_span(
            "chat gpt-4o",
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.usage.input_tokens": 70,
                "gen_ai.usage.output_tokens": 5,
            },
        ) as chat:
            chat.add_event("gen_ai.user.message", {"content": "Where is 4711?"})
            chat.add_event("gen_ai.choice", {"index": 0, "message": '{"content": "At home."}'})
        with tracer.start_as_current_span("execute_tool find_order", attributes=tool) as found:
            found.set_attribute("gen_ai.tool.call.arguments", '{"order": 4711}')
            found.record_exception(KeyError("4711"))
            found.set_status(StatusCode.ERROR)
        root.set_attribute(
            "gen_ai.output.messages",
            '[{"role": "assistant", "parts": [{"type": "text", "content": "At home."}]}]',
        )
    return root.get_span_context().trace_id


@pytest.mark.parametrize("compression", [Compression.Gzip, Compression.NoCompression])
@pytest.mark.parametrize("batched", [True, False])
async def test_an_agent_under_the_genai_conventions(
    assay_on_sqlite: Assay, compression: Compression, batched: bool
) -> None:
    telemetry = provider(assay_on_sqlite, compression=compression, batched=batched)
    trace_id = await asyncio.to_thread(run_agent, telemetry.get_tracer("tests"))
    await asyncio.to_thread(telemetry.shutdown)
    trace = await read(assay_on_sqlite, trace_id)
    assert (trace["name"], trace["status"]) == ("invoke_agent support", "COMPLETED")
    assert (trace["session_id"], trace["total_tokens"]) == ("s-1", 75)
    assert "Where is 4711?" in str(trace["input"])
    assert "At home." in str(trace["output"])
    assert trace["metadata"]["service.name"] == "shop"
    spans = {span["kind"]: span for span in trace["spans"]}
    assert spans["AGENT"]["parent_span_id"] is None
    assert spans["LLM"]["parent_span_id"] == spans["AGENT"]["span_id"]
    assert spans["LLM"]["model"] == "gpt-4o"
    assert spans["LLM"]["output"] == {"messages": [{"role": "assistant", "content": "At home."}]}
    tool = spans["TOOL"]
    assert (tool["name"], tool["input"], tool["status"]) == (
        *("find_order", {"order": 4711}, "ERROR"),
    )
    assert tool["error"] == "KeyError: '4711'"


async def test_an_openai_client_under_openinference(assay_on_sqlite: Assay) -> None:
    assay = assay_on_sqlite
    telemetry = provider(assay)
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=telemetry)
    assay.judge.script = [says("It is at home.")]
    tracer = telemetry.get_tracer("tests")
    try:
        async with openai.AsyncOpenAI(base_url=assay.judge.openai, api_key="k") as client:
            with (
                using_session("s-9"),
                using_user("u-9"),
                tracer.start_as_current_span("agent") as root,
            ):
                await client.chat.completions.create(
                    model="gpt-4o-mini",
                    messages=[{"role": "user", "content": "Where is 4711?"}],
                    temperature=0.5,
                )
    finally:
        instrumentor.uninstrument()
        await asyncio.to_thread(telemetry.shutdown)
    trace = await read(assay, root.get_span_context().trace_id)
    assert (trace["name"], trace["session_id"], trace["user_id"]) == ("agent", "s-9", "u-9")
    [call] = [span for span in trace["spans"] if span["kind"] == "LLM"]
    assert call["model"] == "gpt-4o-mini"
    assert call["status"] == "OK"
    assert call["token_usage"]["total_tokens"] == 120
    assert call["model_parameters"]["temperature"] == 0.5
    assert call["input"] == {"messages": [{"role": "user", "content": "Where is 4711?"}]}
    [answer] = call["output"]["messages"]
    assert (answer["role"], answer["content"]) == ("assistant", "It is at home.")
    # The root has no input; the question of its only call takes its place.
    assert trace["input"] == call["input"]
    assert trace["output"] == call["output"]
