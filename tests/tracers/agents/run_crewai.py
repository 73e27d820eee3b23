import os

os.environ |= {"OPENAI_API_KEY": "x", "OPENAI_API_BASE": os.environ["SERVER_URL"] + "/v1",
               "OPENAI_BASE_URL": os.environ["SERVER_URL"] + "/v1",
               "CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_TRACING_ENABLED": "false"}  # fmt: skip
from _otel import MODEL_URL, QUESTION, find_shelf, provider
from openinference.instrumentation.crewai import CrewAIInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor

made = provider()
CrewAIInstrumentor().instrument(tracer_provider=made)
OpenAIInstrumentor().instrument(tracer_provider=made)
from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

agent = Agent(
    role="clerk",
    goal="find parts",
    backstory="b",
    tools=[tool("find_shelf")(find_shelf)],
    llm=LLM(model="openai/gpt-4o-mini", base_url=MODEL_URL, api_key="x"),
)
Crew(
    agents=[agent], tasks=[Task(description=QUESTION, expected_output="a shelf", agent=agent)]
).kickoff()
