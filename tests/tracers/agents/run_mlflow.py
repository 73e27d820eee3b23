import json
import os

os.environ |= {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": os.environ["SERVER_URL"] + "/v1/traces",
               "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
               "MLFLOW_ENABLE_OTLP_EXPORTER": "true"}  # fmt: skip
import mlflow
from mlflow.entities import SpanType
from openai import OpenAI

mlflow.openai.autolog()
client = OpenAI(base_url=os.environ["SERVER_URL"] + "/v1", api_key="x")


@mlflow.trace(span_type=SpanType.TOOL)
def find_shelf(part):
    return "SHELF-17"


@mlflow.trace(span_type=SpanType.AGENT, name="shelf")
def run(question):
    parameters = {"type": "object", "properties": {"part": {"type": "string"}}}
    offered = {"type": "function", "function": {"name": "find_shelf", "parameters": parameters}}
    messages = [{"role": "user", "content": question}]
    first = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[offered])
    message = first.choices[0].message
    call = message.tool_calls[0]
    result = find_shelf(**json.loads(call.function.arguments))
    messages += [message.model_dump(exclude_none=True)]
    messages += [{"role": "tool", "tool_call_id": call.id, "content": result}]
    last = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[offered])
    return last.choices[0].message.content


run("QUESTION-11: which shelf holds the part?")
