import asyncio
import os

os.environ |= {"OPENAI_API_KEY": "x", "OPENAI_API_BASE": os.environ["SERVER_URL"] + "/v1",
               "LITELLM_LOCAL_MODEL_COST_MAP": "True",
               "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
               "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY"}  # fmt: skip
from _otel import QUESTION, find_shelf, provider

provider()
from google.adk.agents import Agent
from google.adk.models.lite_llm import LiteLlm
from google.adk.runners import InMemoryRunner
from google.genai import types

agent = Agent(
    name="shelf",
    model=LiteLlm(model="openai/gpt-4o-mini"),
    tools=[find_shelf],
    instruction="Be exact.",
)


async def main():
    runner = InMemoryRunner(agent=agent, app_name="app")
    session = await runner.session_service.create_session(
        app_name="app", user_id="u-1", session_id="s-1"
    )
    message = types.Content(role="user", parts=[types.Part(text=QUESTION)])
    async for _event in runner.run_async(user_id="u-1", session_id=session.id, new_message=message):
        pass


asyncio.run(main())
