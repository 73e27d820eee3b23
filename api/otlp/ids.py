"""OpenTelemetry's ids as UUIDs and back, without loss.

A trace id has the 128 bits of a UUID. A span id has 64: they become the lower half of one
whose upper half is zero.
"""

from uuid import UUID

_TRACE_BYTES = 16
_SPAN_BYTES = 8


def trace_uuid(id: bytes) -> UUID | None:
    """None where this is no valid trace id."""
    return UUID(bytes=id) if len(id) == _TRACE_BYTES and any(id) else None


def span_uuid(id: bytes) -> UUID | None:
    """None where this is no valid span id."""
    return UUID(int=int.from_bytes(id)) if len(id) == _SPAN_BYTES and any(id) else None


def trace_bytes(id: UUID) -> bytes:
    return id.bytes


def span_bytes(id: UUID) -> bytes:
    """Of a UUID that `span_uuid` made."""
    return id.bytes[_SPAN_BYTES:]
