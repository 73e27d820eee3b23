"""What text the store and the wire can carry.

PostgreSQL has no NUL character, UTF-8 has no lone surrogates, and JSON writers
stop at some depth. Names refuse such text; content of traces is mended.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema

MAX_DEPTH = 200
"""Nesting of free-form content. orjson writes 254 levels; the answers around it need a few."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def _plain(text: str) -> str:
    if _UNSTORABLE.search(text):
        raise ValueError("must not contain NUL characters or lone surrogates")
    return text


def mend(text: str) -> str:
    """The text with U+FFFD in the place of every character the store cannot hold."""
    return _UNSTORABLE.sub(_REPLACEMENT, text)


def storable(value: Any) -> Any:
    """Free-form JSON, mended. Raises ValueError beyond `MAX_DEPTH` levels."""
    return _mended(value) if _needs_mending(value, MAX_DEPTH) else value


def _needs_mending(value: Any, depth: int) -> bool:
    if isinstance(value, str):
        return (not value.isascii() or "\0" in value) and _UNSTORABLE.search(value) is not None
    if not isinstance(value, dict | list):
        return False
    if depth == 0:
        raise ValueError(f"must not be nested more than {MAX_DEPTH} levels deep")
    found = False
    if isinstance(value, dict):
        # Every branch is walked, even after a find: depth is checked on the way.
        for key in value:
            found |= _needs_mending(key, depth)
        value = value.values()
    for item in value:
        found |= _needs_mending(item, depth - 1)
    return found


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return mend(value)
    if isinstance(value, dict):
        return {mend(key): _mended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mended(item) for item in value]
    return value


def _mend_any(value: object) -> object:
    # Before pydantic's own check, which refuses lone surrogates.
    return mend(value) if isinstance(value, str) else value


PlainText = Annotated[str, AfterValidator(_plain)]
"""Text the store can hold as it is."""

Name = Annotated[PlainText, StringConstraints(min_length=1, max_length=512)]
Label = Annotated[PlainText, StringConstraints(max_length=255)]
Tag = Annotated[PlainText, StringConstraints(min_length=1, max_length=255)]

Content = Annotated[str, BeforeValidator(_mend_any)]
"""Free-form text, mended."""

FreeForm = Annotated[Any, AfterValidator(storable), WithJsonSchema({})]
"""Any JSON, mended."""

FreeObject = Annotated[dict[str, Any], BeforeValidator(storable)]
"""Any JSON object, mended."""
