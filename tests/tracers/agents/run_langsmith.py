import os

os.environ |= {"LANGSMITH_OTEL_ENABLED": "true", "LANGSMITH_TRACING": "true",
               "LANGSMITH_OTEL_ONLY": "true", "LANGSMITH_API_KEY": "x",
               "OTEL_EXPORTER_OTLP_ENDPOINT": os.environ["SERVER_URL"]}  # fmt: skip
from _otel import MODEL_URL, QUESTION, find_shelf, provider

made = provider()
from langchain_openai import ChatOpenAI

try:
    from langchain.agents import create_agent
except ImportError:
    from langgraph.prebuilt import create_react_agent as create_agent
from langchain_core.tools import tool

agent = create_agent(
    ChatOpenAI(model="gpt-4o-mini", base_url=MODEL_URL, api_key="x"), [tool(find_shelf)]
)
agent.invoke(
    {"messages": [{"role": "user", "content": QUESTION}]}, {"configurable": {"thread_id": "s-1"}}
)
from langchain_core.tracers.langchain import wait_for_all_tracers

wait_for_all_tracers()
made.force_flush()
