from _otel import MODEL_URL, QUESTION, find_shelf, provider
from openinference.instrumentation.agno import AgnoInstrumentor

AgnoInstrumentor().instrument(tracer_provider=provider())
from agno.agent import Agent
from agno.models.openai import OpenAIChat

model = OpenAIChat(id="gpt-4o-mini", base_url=MODEL_URL, api_key="x")
Agent(name="shelf", model=model, tools=[find_shelf], session_id="s-1", telemetry=False).run(
    QUESTION
)
