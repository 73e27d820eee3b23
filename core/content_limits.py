"""Size limits of stored content that responses repeat: scores and filters."""

from typing import Any, Final

from pydantic import AfterValidator

from core import json_codec

MAX_TEXT_BYTES: Final = 64 * 1024
"""Maximum size of a score's reason, metadata or value."""

MAX_FILTER_BYTES: Final = 100 * 1024
"""Maximum size of the filters of a run or monitor."""

MAX_LISTED_IDS: Final = 100
"""Maximum number of named ids in the row of a run, and in lists and events."""


def at_most(limit: int) -> AfterValidator:
    """A validator that refuses a value whose JSON has more bytes."""
    return AfterValidator(lambda value: check_size(value, limit))


def check_size(value: Any, limit: int) -> Any:
    """Returns the value. Raises ValueError if its JSON has more bytes."""
    if value is not None and json_codec.size(value) > limit:
        raise ValueError(f"must take at most {limit // 1024} KB as JSON")
    return value
