import json
import os

os.environ["TRACELOOP_BASE_URL"] = os.environ["SERVER_URL"]
from openai import OpenAI
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import agent, tool

Traceloop.init(app_name="shelf", disable_batch=True, api_key="x")
client = OpenAI(base_url=os.environ["SERVER_URL"] + "/v1", api_key="x")
QUESTION = "QUESTION-11: which shelf holds the part?"


@tool(name="find_shelf")
def find_shelf(part):
    return "SHELF-17"


@agent(name="shelf")
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


run(QUESTION)
