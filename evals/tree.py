"""How spans hang together. Parents may be missing or form a cycle."""

from collections.abc import Sequence

from core.records import Span

Parents = Sequence[int | None]
"""The place of each span's parent; None for a root, and for a parent that is not there."""


def parents_of(spans: Sequence[Span]) -> Parents:
    places = {span.id: place for place, span in enumerate(spans)}
    return [
        None if span.parent_id is None else places.get(span.parent_id)
        for place, span in enumerate(spans)
    ]


def depths(parents: Parents) -> list[int]:
    """How many levels lie above each span. A cycle is cut where it would close."""
    known: list[int | None] = [None] * len(parents)
    for place in range(len(parents)):
        path: list[int] = []
        at: int | None = place
        while at is not None and known[at] is None:
            # Marked before it is certain: coming back here means a cycle, and the walk ends.
            known[at] = 0
            path.append(at)
            at = parents[at]
        depth = -1 if at is None or at in path else (known[at] or 0)
        for step in reversed(path):
            depth += 1
            known[step] = depth
    return [depth or 0 for depth in known]
