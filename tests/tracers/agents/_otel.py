"""Sets up OTLP export for agents that do not do so themselves."""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

URL = os.environ["SERVER_URL"]
MODEL_URL = f"{URL}/v1"
QUESTION = "QUESTION-11: which shelf holds the part?"


def provider() -> TracerProvider:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{URL}/v1/traces")))
    trace.set_tracer_provider(made)
    return made


def find_shelf(part: str) -> str:
    """Finds the shelf that holds a part.

    Args:
        part: The number of the part.
    """
    assert part == "PART-41"
    return "SHELF-17"
