"""Text that the store and JSON responses can hold.

PostgreSQL has no NUL character, UTF-8 has no lone surrogates, and JSON writers limit the depth.
Names refuse such text; the content of traces is sanitized.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema

MAX_DEPTH = 200
"""Levels of free-form content. orjson writes 254 levels, of which the response around the content
needs a few.
"""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MARKDOWN = re.compile(r"[\\`*~<>\[\]|#&]|(?<!\w)_|_(?!\w)|(?<=http):|(?<=https):")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def require_storable(text: str) -> str:
    """Raises ValueError for text that the store cannot hold unchanged."""
    if _UNSTORABLE.search(text):
        raise ValueError("must not contain NUL characters or lone surrogates")
    return text


def sanitize(text: str) -> str:
    """Replaces each character that the store cannot hold by U+FFFD."""
    return _UNSTORABLE.sub(_REPLACEMENT, text)


def plain_markdown(text: str) -> str:
    """Escapes text for Markdown, on one line: no links, images, HTML or headings.

    Underscores inside words stay, because Markdown does not interpret them and lists show the text
    raw.
    """
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(sanitize(text).split()))


def sanitized_json(value: Any) -> Any:
    """Sanitizes all text of free-form JSON. Raises ValueError beyond `MAX_DEPTH` levels."""
    return _mended(value) if _needs_mending(value, MAX_DEPTH) else value


def _needs_mending(value: Any, depth: int) -> bool:
    if isinstance(value, str):
        return (not value.isascii() or "\0" in value) and _UNSTORABLE.search(value) is not None
    if not isinstance(value, dict | list):
        return False
    if depth == 0:
        raise ValueError(f"must not be nested more than {MAX_DEPTH} levels deep")
    needs_mending = False
    if isinstance(value, dict):
        # Visits every branch, even after a match, because the same walk checks the depth.
        for key in value:
            needs_mending |= _needs_mending(key, depth)
        value = value.values()
    for item in value:
        needs_mending |= _needs_mending(item, depth - 1)
    return needs_mending


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return sanitize(value)
    if isinstance(value, dict):
        return {sanitize(key): _mended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mended(item) for item in value]
    return value


def _mend_any(value: object) -> object:
    # Runs before pydantic's own check, which refuses lone surrogates.
    return sanitize(value) if isinstance(value, str) else value


PlainText = Annotated[str, AfterValidator(require_storable)]
"""Text that the store can hold unchanged."""

Name = Annotated[PlainText, StringConstraints(min_length=1, max_length=512)]
Label = Annotated[PlainText, StringConstraints(max_length=255)]
NamePart = Annotated[PlainText, StringConstraints(max_length=512)]
"""A part of a name, for a search."""

Tag = Annotated[PlainText, StringConstraints(min_length=1, max_length=255)]

Content = Annotated[str, BeforeValidator(_mend_any)]
"""Free-form text, sanitized."""

FreeForm = Annotated[Any, AfterValidator(sanitized_json), WithJsonSchema({})]
"""Any JSON, sanitized."""

FreeObject = Annotated[dict[str, Any], BeforeValidator(sanitized_json)]
"""Any JSON object, sanitized."""
