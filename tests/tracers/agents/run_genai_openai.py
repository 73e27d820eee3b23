import json

from _otel import MODEL_URL, QUESTION, URL, find_shelf, provider
from openai import OpenAI
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

logs = LoggerProvider()
exporter = OTLPLogExporter(endpoint=f"{URL}/v1/logs")
logs.add_log_record_processor(SimpleLogRecordProcessor(exporter))
set_logger_provider(logs)
OpenAIInstrumentor().instrument(tracer_provider=provider(), logger_provider=logs)
client = OpenAI(base_url=MODEL_URL, api_key="x")
parameters = {"type": "object", "properties": {"part": {"type": "string"}}}
tool = {"type": "function", "function": {"name": "find_shelf", "parameters": parameters}}
messages = [{"role": "user", "content": QUESTION}]
with trace.get_tracer("agent").start_as_current_span("agent"):
    first = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[tool])
    message = first.choices[0].message
    call = message.tool_calls[0]
    result = find_shelf(**json.loads(call.function.arguments))
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": result}]
    client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[tool])
