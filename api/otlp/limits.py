"""Limits of one export and of its spans.

Events and links have the limits of the OpenTelemetry SDK. Its limit of 128 attributes is too low:
conventions that write each part of a message into a separate attribute need thousands of
attributes.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from api.http.memory_budget import check_density
from core.errors import BadRequest, TooLarge

NO_ROOM: Final = "no room left in their trace"
TOO_MANY: Final = "no room left in this request"

MAX_SPANS: Final = 10_000
MAX_EVENTS: Final = 128
MAX_LINKS: Final = 128
MAX_ATTRIBUTES: Final = 4_096
MAX_CONCURRENT_DECODES: Final = 2
MAX_COMPRESSION_RATIO: Final = 100
_MIN_CHECKED_BYTES: Final = 1_000_000
MAX_PARTS: Final = 500_000
"""Maximum number of spans, attributes, events and links of one request, because each takes
memory.
"""

_PARTS: Final = frozenset(
    Span.DESCRIPTOR.fields_by_name[name].number for name in ("attributes", "events", "links")
)
_DEPTH_OF_SPANS: Final = (1, 2, 2)
"""The path of fields from a request to its spans: resource_spans, scope_spans, spans."""


def check_ratio(compressed: int, inflated: int) -> None:
    """Raises TooLarge for a body with an implausible compression ratio."""
    if inflated > _MIN_CHECKED_BYTES and inflated > MAX_COMPRESSION_RATIO * compressed:
        raise TooLarge(
            f"The body is more than {MAX_COMPRESSION_RATIO} times as large once decompressed."
        )


def check_json(body: bytes) -> None:
    """Raises TooLarge for a body with implausibly many values for its size."""
    check_density(body)


def check_protobuf(body: bytes) -> None:
    """Raises TooLarge for a body with too many parts, before they are parsed.

    A body that is not protobuf passes; the parser refuses it.
    """
    if len(body) <= _MIN_CHECKED_BYTES:
        return
    try:
        left = MAX_PARTS
        for _ in _parts(memoryview(body), 0):
            left -= 1
            if left < 0:
                raise TooLarge(f"The request holds more than {MAX_PARTS:,} spans and attributes.")
    except (IndexError, BadRequest):
        return


def _parts(message: memoryview, depth: int) -> Iterator[None]:
    for number, content in _submessages(message):
        if depth == len(_DEPTH_OF_SPANS):
            if number in _PARTS:
                yield
        elif number == _DEPTH_OF_SPANS[depth]:
            yield
            yield from _parts(content, depth + 1)


def _submessages(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The length-delimited fields. Raises IndexError and BadRequest if the body is not protobuf."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                _, at = _varint(message, at)
            case 1:
                at += 8
            case 5:
                at += 4
            case 2:
                length, at = _varint(message, at)
                yield key >> 3, message[at : at + length]
                at += length
            case _:
                raise BadRequest("The body is not protobuf.")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def dropped(counts: Counter[str]) -> str:
    """The text of the partial success about dropped parts."""
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"Dropped beyond the limits of a span: {told}." if told else ""
