from _otel import MODEL_URL, QUESTION, find_shelf, provider
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

OpenAIAgentsInstrumentor().instrument(tracer_provider=provider())
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
from openai import AsyncOpenAI

model = OpenAIChatCompletionsModel("gpt-4o-mini", AsyncOpenAI(base_url=MODEL_URL, api_key="x"))
Runner.run_sync(Agent(name="shelf", model=model, tools=[function_tool(find_shelf)]), QUESTION)
