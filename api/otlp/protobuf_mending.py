"""Repairs OTLP protobuf messages that the decoder refuses because of one part.

One text that is not UTF-8, or one value with too deep nesting, makes protobuf's decoder refuse the
whole request. This module walks the request field by field along its schema instead: it makes text
valid, cuts deep values, drops unreadable attributes, and refuses only unreadable spans. It runs
only after the decoder has failed.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from api.otlp.json_fields import CUT
from api.otlp.records import Refusal

MAX_LEVELS: Final = 30
"""Maximum nesting of an attribute's value.

The decoder stops at 100 messages, and a level takes three.
"""

_CONTAINERS: Final = frozenset(
    (
        *("ExportTraceServiceRequest", "ResourceSpans", "ScopeSpans"),
        *("ExportLogsServiceRequest", "ResourceLogs", "ScopeLogs"),
    )
)
_ITEMS: Final = frozenset(("Span", "LogRecord"))
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIRE_TYPES: Final = {
    **dict.fromkeys(
        (
            *(FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_INT32),
            *(FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_BOOL),
            *(FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_ENUM),
        ),
        _VARINT,
    ),
    **dict.fromkeys(
        (
            *(FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FIXED64),
            FieldDescriptor.TYPE_SFIXED64,
        ),
        _FIXED64,
    ),
    **dict.fromkeys(
        (
            *(FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES),
            FieldDescriptor.TYPE_MESSAGE,
        ),
        _BYTES,
    ),
    **dict.fromkeys(
        (
            *(FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_FIXED32),
            FieldDescriptor.TYPE_SFIXED32,
        ),
        _FIXED32,
    ),
}
_CUT_VALUE: Final = AnyValue(string_value=CUT).SerializeToString()


class Damaged(ValueError):
    """The bytes are not a valid message."""


class _Field(NamedTuple):
    number: int
    wire_type: int
    raw: bytes
    """The bytes of the field in the message, including its tag."""
    payload: bytes
    """The content of a length-delimited field."""


def mended(descriptor: Descriptor, body: bytes, refused: list[Refusal]) -> bytes:
    """The message without its unreadable parts. Adds lost spans to `refused`."""
    return _mended(descriptor, body, MAX_LEVELS, refused)


def _mended(descriptor: Descriptor, body: bytes, levels: int, refused: list[Refusal]) -> bytes:
    out = bytearray()
    try:
        for one in _fields(body):
            field = descriptor.fields_by_number.get(one.number)
            if field is not None and _WIRE_TYPES.get(field.type) == one.wire_type:
                out += _field(field, one, levels, refused)
    except Damaged:
        if descriptor.name not in _CONTAINERS:
            raise
        refused.append(
            Refusal("", "bytes that are not OTLP, up to the end of the enclosing message")
        )
    return bytes(out)


def _field(field: FieldDescriptor, part: _Field, levels: int, refused: list[Refusal]) -> bytes:
    if field.type == FieldDescriptor.TYPE_STRING:
        text = part.payload.decode("utf-8", "replace").encode()
        return part.raw if text == part.payload else _framed(part.number, text)
    if field.type != FieldDescriptor.TYPE_MESSAGE:
        return part.raw
    kind = field.message_type
    if kind is None:
        return part.raw
    if kind.name == AnyValue.DESCRIPTOR.name:
        levels -= 1
        if levels < 0:
            return _framed(part.number, _CUT_VALUE)
    try:
        return _framed(part.number, _mended(kind, part.payload, levels, refused))
    except Damaged:
        if kind.name in _ITEMS:
            refused.append(Refusal(_name(kind, part.payload), f"bytes that are no {kind.name}"))
        return b""


def _name(kind: Descriptor, body: bytes) -> str:
    """The name of an unreadable span, if the name is readable."""
    field = kind.fields_by_name.get("name")
    try:
        for one in _fields(body):
            if field is not None and (one.number, one.wire_type) == (field.number, _BYTES):
                return one.payload.decode("utf-8", "replace")
    except Damaged:
        pass
    return ""


def _fields(body: bytes) -> Iterator[_Field]:
    """Raises Damaged if the bytes are not fields."""
    at = 0
    while at < len(body):
        start = at
        tag, at = _varint(body, at)
        number, wire_type = tag >> 3, tag & 7
        payload_at = at
        match wire_type:
            case 0:
                _, at = _varint(body, at)
            case 1:
                at += 8
            case 2:
                length, payload_at = _varint(body, at)
                at = payload_at + length
            case 5:
                at += 4
            case _:
                raise Damaged
        if at > len(body) or number == 0:
            raise Damaged
        yield _Field(number, wire_type, body[start:at], body[payload_at:at])


def _varint(body: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(body):
            raise Damaged
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise Damaged


def _framed(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | _BYTES) + varint(len(payload)) + payload


def varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
