import asyncio
import os

os.environ["ENABLE_SENSITIVE_DATA"] = "true"
from _otel import MODEL_URL, QUESTION, find_shelf, provider

provider()
from agent_framework.observability import enable_sensitive_telemetry

enable_sensitive_telemetry()
try:
    from agent_framework.openai import OpenAIChatCompletionClient as Client
except ImportError:
    from agent_framework.openai import OpenAIChatClient as Client
from agent_framework import Agent

client = Client(model="gpt-4o-mini", base_url=MODEL_URL, api_key="x")
asyncio.run(Agent(client=client, name="shelf", tools=[find_shelf]).run(QUESTION))
