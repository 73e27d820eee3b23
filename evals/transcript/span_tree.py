"""The tree of spans. Parents may be missing or form a cycle."""

from collections.abc import Iterator, Sequence

from core.trace_model import Span

MAX_ANCESTORS = 64
"""Limits the work for traces with thousands of nesting levels."""

Parents = Sequence[int | None]
"""The index of each span's parent; None for a root and for a missing parent."""


def parents_of(spans: Sequence[Span]) -> Parents:
    places = {span.id: place for place, span in enumerate(spans)}
    return [
        None if span.parent_id is None else places.get(span.parent_id)
        for place, span in enumerate(spans)
    ]


def depths(parents: Parents) -> list[int]:
    """The number of levels above each span. A cycle is cut where it would close."""
    known: list[int | None] = [None] * len(parents)
    for place in range(len(parents)):
        path: list[int] = []
        at: int | None = place
        while at is not None and known[at] is None:
            # Marks the span before the walk, so that a walk that returns here through a cycle ends.
            known[at] = 0
            path.append(at)
            at = parents[at]
        depth = -1 if at is None or at in path else (known[at] or 0)
        for step in reversed(path):
            depth += 1
            known[step] = depth
    return [depth or 0 for depth in known]


def ancestors(parents: Parents, place: int) -> Iterator[int]:
    """The indexes of a span's nearest ancestors, nearest first. A cycle ends the walk."""
    seen = {place}
    at = parents[place]
    while at is not None and at not in seen and len(seen) <= MAX_ANCESTORS:
        yield at
        seen.add(at)
        at = parents[at]
