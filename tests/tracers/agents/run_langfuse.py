import json
import os

os.environ |= {
    "LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk",
    "LANGFUSE_HOST": os.environ["SERVER_URL"], "LANGFUSE_BASE_URL": os.environ["SERVER_URL"],
}  # fmt: skip
from langfuse import get_client, observe
from langfuse.openai import OpenAI

client = OpenAI(base_url=os.environ["SERVER_URL"] + "/v1", api_key="x")


@observe(as_type="tool")
def find_shelf(part):
    return "SHELF-17"


@observe(as_type="agent", name="shelf")
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
get_client().flush()
