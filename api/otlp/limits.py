"""Limits of one export and of its spans.

Events and links have the limits of the OpenTelemetry SDK. Its limit of 128 attributes is too low:
conventions that write each part of a message into a separate attribute need thousands of
attributes.
"""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Final

from google.protobuf.descriptor import Descriptor

from api.http.memory_budget import check_density
from core.errors import TooLarge

NO_ROOM: Final = "no room left in their trace"
TOO_MANY: Final = "no room left in this request"

MAX_SPANS: Final = 10_000
"""Maximum number of spans, or of log records, in one request."""

MAX_EVENTS: Final = 128
MAX_LINKS: Final = 128
MAX_ATTRIBUTES: Final = 4_096
MAX_CONCURRENT_DECODES: Final = 2
MAX_COMPRESSION_RATIO: Final = 100
_MIN_CHECKED_BYTES: Final = 1_000_000
MAX_GZIP_MEMBERS: Final = 200
"""Every member of a gzip body copies the members after it."""

MAX_FIELDS: Final = 1_800_000
"""Maximum number of fields in the messages of one request. A field with a message counts twice,
because each message takes memory.
"""

MAX_MENDED_FIELDS: Final = 250_000
"""The same for a request that the parser refuses, because a repair takes longer per field."""

_LENGTH_DELIMITED: Final = 2
_LONG: Final = 0x80
"""Smaller bytes are whole numbers."""

_MAX_VARINT_BYTES: Final = 10


def check_ratio(compressed: int, inflated: int) -> None:
    """Raises TooLarge for a body with an implausible compression ratio."""
    if inflated > _MIN_CHECKED_BYTES and inflated > MAX_COMPRESSION_RATIO * compressed:
        raise TooLarge(
            f"The body is more than {MAX_COMPRESSION_RATIO} times as large once decompressed."
        )


def check_json(body: bytes) -> None:
    """Raises TooLarge for a body with implausibly many values for its size."""
    check_density(body)


def check_protobuf(body: bytes, request: Descriptor) -> None:
    """Raises TooLarge for a body with too many fields, before they are parsed.

    `request` describes the message.
    """
    if len(body) <= _MIN_CHECKED_BYTES:
        return
    if _count_fields(body, request, MAX_FIELDS) > MAX_FIELDS:
        raise TooLarge(f"The request holds more than {MAX_FIELDS:,} spans, attributes and values.")


def may_mend(body: bytes, request: Descriptor) -> bool:
    """Whether the repair of a body that the parser refuses takes a second at most."""
    return _count_fields(body, request, MAX_MENDED_FIELDS) <= MAX_MENDED_FIELDS


def _count_fields(body: bytes, request: Descriptor, most: int) -> int:
    """The number of fields; counting stops as soon as the number exceeds `most`.

    Skips the rest of a message whose bytes are not protobuf.
    """
    found = 0
    open_messages = [(0, len(body), _message_fields(request))]
    while open_messages and found <= most:
        at, end, kinds = open_messages.pop()
        try:
            while at < end and found <= most:
                found += 1
                key, at = (body[at], at + 1) if body[at] < _LONG else _varint(body, at)
                if key & 7 != _LENGTH_DELIMITED:
                    at = _after_number(body, at, key & 7)
                    continue
                length, at = (body[at], at + 1) if body[at] < _LONG else _varint(body, at)
                kind = kinds.get(key >> 3)
                if kind is not None:
                    found += 1
                    if length:
                        open_messages.append((at, min(at + length, end), _message_fields(kind)))
                at += length
        except (IndexError, ValueError):
            continue
    return found


def _after_number(body: bytes, at: int, wire_type: int) -> int:
    """Where the field after a number begins. Raises IndexError and ValueError."""
    match wire_type:
        case 0:
            return _varint(body, at)[1]
        case 1:
            return at + 8
        case 5:
            return at + 4
    raise ValueError


@cache
def _message_fields(kind: Descriptor) -> Mapping[int, Descriptor]:
    return {
        number: field.message_type
        for number, field in kind.fields_by_number.items()
        if field.message_type is not None
    }


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """The number, and where the next bytes begin. Raises IndexError and ValueError."""
    number = body[at]
    at += 1
    if number < _LONG:
        return number, at
    number &= 0x7F
    # Longer numbers are not protobuf, and every further byte would copy the number so far.
    for shift in range(7, 7 * _MAX_VARINT_BYTES, 7):
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < _LONG:
            return number, at
    raise ValueError


def dropped(counts: Counter[str]) -> str:
    """The text of the partial success about dropped parts."""
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"Dropped beyond the limits of a span: {told}." if told else ""
