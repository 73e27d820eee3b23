import json

from _otel import MODEL_URL, QUESTION, find_shelf, provider
from openai import OpenAI
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry import trace

OpenAIInstrumentor().instrument(tracer_provider=provider())
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
