from collections.abc import Mapping
from typing import Any


def merged_metadata(stored: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """A shallow merge: sent keys replace stored ones, and null removes a key."""
    return {
        key: value for key, value in {**stored, **sent}.items() if sent.get(key, ...) is not None
    }
