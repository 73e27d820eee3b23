import asyncio

from _otel import MODEL_URL, QUESTION, find_shelf, provider

provider()
import openlit

openlit.init(disable_metrics=True)
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

client = OpenAIChatCompletionClient(model="gpt-4o-mini", base_url=MODEL_URL, api_key="x")
agent = AssistantAgent("shelf", client, tools=[find_shelf], reflect_on_tool_use=True)
asyncio.run(agent.run(task=QUESTION))
