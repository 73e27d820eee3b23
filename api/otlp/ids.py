"""Converts OpenTelemetry's ids to UUIDs and back, without loss.

A trace id has the 128 bits of a UUID. A span id has 64 bits, which become the lower half of a UUID;
the upper half is zero.
"""

from uuid import UUID

_TRACE_BYTES = 16
_SPAN_BYTES = 8


def trace_uuid(trace_id: bytes) -> UUID | None:
    """None for an invalid trace id."""
    return UUID(bytes=trace_id) if len(trace_id) == _TRACE_BYTES and any(trace_id) else None


def span_uuid(span_id: bytes) -> UUID | None:
    """None for an invalid span id."""
    return (
        UUID(int=int.from_bytes(span_id)) if len(span_id) == _SPAN_BYTES and any(span_id) else None
    )


def trace_bytes(trace_id: UUID) -> bytes:
    return trace_id.bytes


def span_bytes(span_id: UUID) -> bytes:
    """The span id in a UUID that `span_uuid` made."""
    return span_id.bytes[_SPAN_BYTES:]
