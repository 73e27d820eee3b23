"""Titles of traces in lists: the name and the beginning of the input."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Text, cast, func, select, type_coerce
from sqlmodel import col

from core.db.database import Reader
from core.db.tables import Trace
from core.ids import ProjectId

_CHARACTERS: Final = 2000
_TEXT: Final = r'"((?:[^"\\]|\\.){1,400})'
_PLAIN: Final = re.compile(_TEXT)
_USER: Final = re.compile(
    r'"role":\s*"(?:user|human)"[^{}]{0,80}?"(?:content|text)":\s*' + _TEXT, re.IGNORECASE
)
_FIELD: Final = re.compile(r'"(?:question|query|prompt|input|task|text|content)":\s*' + _TEXT)
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})|\\(.)")


@dataclass(frozen=True, slots=True)
class TraceTitle:
    """`opening` is the beginning of the first user message; empty if the first characters hold no
    text.
    """

    name: str
    opening: str


async def of_traces(
    db: Reader, project_id: ProjectId, trace_ids: Sequence[UUID]
) -> dict[UUID, TraceTitle]:
    """Titles by trace id; a deleted trace has none. Reads only the first characters of inputs."""
    stored = cast(type_coerce(col(Trace.input), Text), Text)
    rows = await db.execute(
        select(
            col(Trace.id), col(Trace.name), func.substr(stored, 1, _CHARACTERS).label("opening")
        ).where(col(Trace.project_id) == project_id, col(Trace.id).in_(trace_ids))
    )
    return {row.id: TraceTitle(row.name, opening(row.opening or "")) for row in rows}


def opening(stored: str) -> str:
    """The first user message in the beginning of a JSON document."""
    if stored.startswith('"'):
        match = _PLAIN.match(stored)
    elif stored.startswith(("{", "[")):
        match = _USER.search(stored)
        if match is None and '"role"' not in stored:
            match = _FIELD.search(stored)
    else:
        return "" if stored == "null" else stored[:400]
    return "" if match is None else _ESCAPE.sub(_unescaped, match[1])


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        code = int(match[1], 16)
        # Half of a surrogate pair is not a character.
        return "" if 0xD800 <= code <= 0xDFFF else chr(code)
    return match[2] if match[2] in '"\\/' else " "
