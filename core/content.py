"""Decides whether a value has text that a judge can read."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from core.ids import SpanKind, SpanStatus

REDACTED: Final = frozenset(("__REDACTED__", "<elided>", "[REDACTED]", "<redacted>", "N/A"))
"""The placeholders that tracers write for content that they are configured to omit."""

_STRUCTURE: Final = frozenset(
    (
        *("role", "type", "id", "name", "index", "finish_reason", "finishReason", "kind"),
        *("tool_call_id", "call_id", "object", "model", "usage", "lc", "status", "created"),
    )
)
"""Keys that describe the structure of a message or a part, not its text."""


class ContentState(StrEnum):
    """How much of its text a trace holds."""

    WHOLE = "whole"
    PARTIAL = "partial"
    NONE = "none"


def has_content(value: Any) -> bool:
    if value is None:
        return False
    if isinstance(value, str):
        text = value.strip()
        return bool(text) and text not in REDACTED and text not in ("{}", "[]", "null", '""')
    if isinstance(value, Mapping):
        return any(has_content(inner) for inner in _spoken(value))
    if isinstance(value, list):
        return any(has_content(inner) for inner in value)
    return True


def has_text(span: Mapping[str, Any]) -> bool:
    return has_content(span["input"]) or has_content(span["output"])


def lacks_text(span: Mapping[str, Any]) -> bool:
    """True for a model answer or a tool call without text, unless it failed."""
    if span["status"] == SpanStatus.ERROR:
        return False
    if span["kind"] == SpanKind.LLM:
        return not has_content(span["output"])
    called = span["input"] is not None or span["output"] is not None
    return span["kind"] == SpanKind.TOOL and not called


def content_state(counts: Mapping[str, Any], *, head_speaks: bool) -> ContentState:
    """The state of a trace:

    `text_spans` have text, `silent_spans` lack text that they should have.
    """
    if counts["text_spans"] == 0 and not head_speaks:
        return ContentState.NONE
    return ContentState.PARTIAL if counts["silent_spans"] else ContentState.WHOLE


def _spoken(value: Mapping[str, Any]) -> list[Any]:
    if "role" in value or "type" in value or "lc" in value or "finish_reason" in value:
        # The name of the called tool counts as text of the model.
        called = "tool" in str(value.get("type"))
        return [
            inner
            for key, inner in value.items()
            if key not in _STRUCTURE or (called and key == "name")
        ]
    return list(value.values())
