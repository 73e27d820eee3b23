from _otel import MODEL_URL, QUESTION, find_shelf, provider
from openinference.instrumentation.smolagents import SmolagentsInstrumentor

SmolagentsInstrumentor().instrument(tracer_provider=provider())
from smolagents import OpenAIServerModel, ToolCallingAgent, tool

model = OpenAIServerModel("gpt-4o-mini", api_base=MODEL_URL, api_key="x")
ToolCallingAgent(tools=[tool(find_shelf)], model=model, max_steps=3).run(QUESTION)
