import asyncio

from _otel import MODEL_URL, QUESTION, find_shelf, provider
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor

LlamaIndexInstrumentor().instrument(tracer_provider=provider())
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai_like import OpenAILike

llm = OpenAILike(
    model="gpt-4o-mini",
    api_base=MODEL_URL,
    api_key="x",
    is_chat_model=True,
    is_function_calling_model=True,
)


async def main():
    await FunctionAgent(tools=[find_shelf], llm=llm, name="shelf").run(QUESTION)


asyncio.run(main())
