"""Extracts text from a trace's input or output."""

from collections.abc import Mapping

from pydantic import JsonValue

from core.content import has_content
from evals.transcript.compact_json import compact

_TEXT_KEYS = ("content", "text", "input", "output", "question", "query", "prompt", "message",
              "answer", "response", "result")  # fmt: skip


def plain_text(value: JsonValue) -> str:
    """The text in a trace's input or output, without the surrounding structure."""
    if isinstance(value, Mapping):
        messages = value.get("messages")
        if isinstance(messages, list) and messages:
            return plain_text(messages[-1])
        for key in _TEXT_KEYS:
            inner = value.get(key)
            if isinstance(inner, str) and inner.strip():
                return compact(inner)
    if isinstance(value, list) and value and isinstance(value[-1], dict) and "role" in value[-1]:
        return plain_text(value[-1])
    return compact(value)


def text_to_compare(value: JsonValue) -> str:
    """Like `plain_text`, but empty for an empty value and for the placeholder of a tracer that
    omits content.
    """
    text = plain_text(value)
    return text if has_content(value) and has_content(text) else ""
