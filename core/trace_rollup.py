"""Derives the head of a trace from its spans.

OpenTelemetry sends only spans, in any order and in any number of requests. The head depends on the
stored spans alone, so their order of arrival does not matter.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from core.ids import SpanKind, SpanStatus, TraceStatus

PARENT_IS_REMOTE = "otel.parent_is_remote"
"""Metadata key of a span whose parent ran in another process."""

_TELLING = (SpanKind.AGENT, SpanKind.CHAIN, SpanKind.LLM)


class SpanStub(NamedTuple):
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

    @property
    def order(self) -> tuple[datetime, UUID]:
        return self.started_at, self.id


class TraceRollup(NamedTuple):
    top: SpanStub
    started_at: datetime
    ended_at: datetime | None
    input_from: UUID | None
    output_from: UUID | None

    def status(self, *, parent_is_remote: bool) -> TraceStatus:
        """`parent_is_remote`: the parent of the top span ran in another process, whose span may
        never arrive.
        """
        outermost = self.top.parent_span_id is None or parent_is_remote
        if not outermost or self.top.ended_at is None:
            return TraceStatus.RUNNING
        failed = self.top.status is SpanStatus.ERROR
        return TraceStatus.ERROR if failed else TraceStatus.COMPLETED


def roll_up(points: Iterable[SpanStub]) -> TraceRollup:
    """The head of the trace with these spans; there must be at least one.

    The head comes from the root span that began first. Without a root the head is provisional: it
    comes from the earliest span with an unknown parent, and covers the time of all spans. A root
    without input or output takes them from the spans below it.
    """
    spans = sorted(points, key=lambda span: (span.started_at, span.id))
    top = _top(spans)
    times = top.started_at, top.ended_at
    if top.parent_span_id is not None:
        times = spans[0].started_at, max((s.ended_at for s in spans if s.ended_at), default=None)
    with_input = [span for span in spans if span.has_input]
    answered = sorted(
        (span for span in spans if span.has_output),
        key=lambda span: (span.ended_at or span.started_at, span.id),
        reverse=True,
    )
    input_from = top.id if top.has_input else _source(with_input)
    output_from = top.id if top.has_output else _source(answered)
    return TraceRollup(top, *times, input_from, output_from)


def _top(spans: Sequence[SpanStub]) -> SpanStub:
    ids = {span.id for span in spans}
    roots = (span for span in spans if span.parent_span_id is None)
    orphans = (span for span in spans if span.parent_span_id not in ids)
    return next(roots, None) or next(orphans, None) or spans[0]


def _source(having: Sequence[SpanStub]) -> UUID | None:
    return next((span.id for kind in _TELLING for span in having if span.kind == kind), None)
