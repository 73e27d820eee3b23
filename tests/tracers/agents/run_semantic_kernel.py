import asyncio
import os

os.environ["SEMANTICKERNEL_EXPERIMENTAL_GENAI_ENABLE_OTEL_DIAGNOSTICS_SENSITIVE"] = "true"
from _otel import MODEL_URL, QUESTION, find_shelf, provider

made = provider()
import logging

from openai import AsyncOpenAI
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import kernel_function

logs = LoggerProvider()
logs.add_log_record_processor(
    SimpleLogRecordProcessor(OTLPLogExporter(endpoint=os.environ["SERVER_URL"] + "/v1/logs"))
)
set_logger_provider(logs)
logging.getLogger().addHandler(LoggingHandler(logger_provider=logs))
logging.getLogger().setLevel(logging.INFO)


class Shelves:
    @kernel_function
    def find_shelf(self, part: str) -> str:
        """Finds the shelf."""
        return find_shelf(part)


service = OpenAIChatCompletion(
    "gpt-4o-mini", async_client=AsyncOpenAI(base_url=MODEL_URL, api_key="x")
)


async def main():
    print(
        await ChatCompletionAgent(service=service, name="shelf", plugins=[Shelves()]).get_response(
            QUESTION
        )
    )


asyncio.run(main())
