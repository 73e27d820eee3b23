from _otel import MODEL_URL, QUESTION, find_shelf, provider
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

settings = InstrumentationSettings(tracer_provider=provider(), include_content=True)
model = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(base_url=MODEL_URL, api_key="x"))
try:
    agent = Agent(model, tools=[find_shelf], name="shelf", instrument=settings)
except TypeError:
    from pydantic_ai.capabilities import Instrumentation

    agent = Agent(model, tools=[find_shelf], name="shelf", capabilities=[Instrumentation(settings)])
print(agent.run_sync(QUESTION).output)
