"""Reads what another release saved of a dataclass."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any


def known_fields(of: type[Any], saved: Mapping[str, Any] | None) -> dict[str, Any]:
    """The saved values of the fields that the dataclass has; other entries are ignored."""
    names = {field.name for field in fields(of)}
    return {name: value for name, value in (saved or {}).items() if name in names}
