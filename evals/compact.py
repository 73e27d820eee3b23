"""JSON values as short text that loses nothing."""

import orjson
from pydantic import JsonValue

from core.jsontext import dumps

_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_HUGE_NUMBER = b"0" * 19
# Parsing more than this costs a second and saves nothing: so long a text is cut anyway.
_LONGEST_READ = 2_000_000


def compact(value: JsonValue) -> str:
    """Text as it is, JSON (also JSON inside a string) without its white space and escapes."""
    if isinstance(value, str):
        return _compact_text(value)
    if value is None:
        return ""
    return dumps(value)


def decoded(value: JsonValue) -> JsonValue:
    """The value a string of JSON holds; any other value as it is."""
    if isinstance(value, str) and _looks_like_json(value):
        try:
            parsed: JsonValue = orjson.loads(value)
        except ValueError:
            return value
        return parsed
    return value


def one_line(text: str, limit: int) -> str:
    """A name fit for a header: a single line of at most `limit` characters."""
    # Cut before splitting too: a name may be megabytes of white space.
    flat = " ".join(text[: 8 * limit].split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _compact_text(text: str) -> str:
    text = text.strip()
    if not _looks_like_json(text) or _has_huge_number(text):
        return text
    parsed = decoded(text)
    return text if isinstance(parsed, str) else dumps(parsed)


def _has_huge_number(text: str) -> bool:
    """Beyond 64 bits a parser would round the number; such text is left as it came."""
    digits = text.encode("utf-8", "replace").translate(_DIGITS_AS_ZEROS)
    return _HUGE_NUMBER in digits


def _looks_like_json(text: str) -> bool:
    if len(text) > _LONGEST_READ:
        return False
    return text[:1] in ("{", "[") or (text[:1].isspace() and text.lstrip()[:1] in ("{", "["))
