"""What the spans of a trace say of the trace itself.

OpenTelemetry sends spans and nothing else, in any order and in any number of requests. As the head
follows from all spans that are there, and from nothing but them, it does not matter how they came.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from core.ids import SpanKind, SpanStatus, TraceStatus

PARENT_IS_REMOTE = "otel.parent_is_remote"
"""Marks, in a span's metadata, one whose parent ran in another process."""

_TELLING = (SpanKind.AGENT, SpanKind.CHAIN, SpanKind.LLM)


class Point(NamedTuple):
    """A span without its content."""

    id: UUID
    parent_span_id: UUID | None
    name: str
    kind: SpanKind
    status: SpanStatus
    started_at: datetime
    ended_at: datetime | None
    has_input: bool
    has_output: bool


class Head(NamedTuple):
    top: Point
    started_at: datetime
    ended_at: datetime | None
    input_from: UUID | None
    output_from: UUID | None

    def status(self, *, parent_is_remote: bool) -> TraceStatus:
        """`parent_is_remote`: the top's parent ran in another process, which may never report."""
        outermost = self.top.parent_span_id is None or parent_is_remote
        if not outermost or self.top.ended_at is None:
            return TraceStatus.RUNNING
        failed = self.top.status is SpanStatus.ERROR
        return TraceStatus.ERROR if failed else TraceStatus.COMPLETED


def head_of(points: Iterable[Point]) -> Head:
    """The head of the trace that these spans, at least one, make.

    It follows the root: of several, the one that began first. Until there is one it is
    provisional: it follows the earliest span whose parent is unknown, over the time of all spans.
    A root that says nothing of input or output leaves them to the spans below it.
    """
    spans = sorted(points, key=lambda span: (span.started_at, span.id))
    top = _top(spans)
    times = top.started_at, top.ended_at
    if top.parent_span_id is not None:
        times = spans[0].started_at, max((s.ended_at for s in spans if s.ended_at), default=None)
    asked = [span for span in spans if span.has_input]
    answered = sorted(
        (span for span in spans if span.has_output),
        key=lambda span: (span.ended_at or span.started_at, span.id),
        reverse=True,
    )
    return Head(top, *times, _source(top, asked), _source(top, answered))


def _top(spans: Sequence[Point]) -> Point:
    ids = {span.id for span in spans}
    roots = (span for span in spans if span.parent_span_id is None)
    orphans = (span for span in spans if span.parent_span_id not in ids)
    return next(roots, None) or next(orphans, None) or spans[0]


def _source(top: Point, saying: Sequence[Point]) -> UUID | None:
    if top in saying:
        return top.id
    told = (span.id for kind in _TELLING for span in saying if span.kind is kind)
    return next(told, None)
