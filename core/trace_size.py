"""Limits of the size of a trace, and how the size is counted."""

from collections.abc import Mapping
from typing import Any, Final

from core import json_codec
from core.errors import TooLarge

MAX_TRACE_SPANS: Final = 10_000
MAX_TRACE_BYTES: Final = 20_000_000

_SPAN_CONTENT: Final = (
    *("input", "output", "metadata", "error", "token_usage", "model_parameters", "cost"),
)
_HEAD_CONTENT: Final = ("input", "output", "metadata")
_ROW_BYTES: Final = 200
"""Bytes of a span besides its content: ids, times, name, numbers."""

TOO_LARGE: Final = TooLarge(
    f"A trace holds at most {MAX_TRACE_SPANS:,} spans and {MAX_TRACE_BYTES // 1_000_000} MB, and "
    "this request would exceed that. Split the work into several traces of one session."
)


def span_bytes(span: Mapping[str, Any]) -> int:
    """Size of a span's columns in the store."""
    return _ROW_BYTES + _content_bytes(span, _SPAN_CONTENT)


def head_bytes(head: Mapping[str, Any]) -> int:
    """Size of a trace's content without its spans; fields that `head` lacks count 0."""
    return _content_bytes(head, _HEAD_CONTENT)


def _content_bytes(values: Mapping[str, Any], names: tuple[str, ...]) -> int:
    found = (values.get(name) for name in names)
    return sum(json_codec.size(value) for value in found if value is not None)


def fits(span_count: int, size_bytes: int) -> bool:
    return span_count <= MAX_TRACE_SPANS and size_bytes <= MAX_TRACE_BYTES
