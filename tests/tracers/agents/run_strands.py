from _otel import MODEL_URL, QUESTION, find_shelf, provider

provider()
from strands import Agent, tool
from strands.models.openai import OpenAIModel

model = OpenAIModel(client_args={"base_url": MODEL_URL, "api_key": "x"}, model_id="gpt-4o-mini")
Agent(
    model=model,
    tools=[tool(find_shelf)],
    trace_attributes={"session.id": "s-1"},
    callback_handler=None,
)(QUESTION)
