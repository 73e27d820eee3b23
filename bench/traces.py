"""Reads trace bodies from a file as traces for metrics."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.cli.jsonlines import JsonLines
from core.json_codec import loads
from core.trace_model import Trace

Body = dict[str, Any]


def read(path: Path) -> Iterator[tuple[Body, Trace]]:
    """JSON Lines in the form of `POST /traces`, plain or gzipped."""
    with JsonLines(str(path)) as lines:
        for _, line in lines:
            body: Body = loads(line)
            yield body, record(body)


def record(body: Body) -> Trace:
    spans = [
        {**span, "id": span["span_id"], "parent_id": span.get("parent_span_id")}
        for span in body.get("spans", ())
    ]
    return Trace.model_validate({**body, "id": body["trace_id"], "spans": spans})
