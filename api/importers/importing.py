"""Imports exports of other tools, and reads them for a preview."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from api.cli.client import Client
from api.importers import catalog
from api.importers.records import records
from api.importers.source import Export, Json, Source
from core.errors import Invalid, TooLarge

_SPANS_PER_REQUEST: Final = 200
_MAX_TOLD: Final = 10


@dataclass(slots=True)
class Report:
    """The result for a file.

    `spans` counts spans read, `refused` spans that the server rejected.
    """

    source: str
    records: int = 0
    spans: int = 0
    refused: int = 0
    unread: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        lost = f", {self.refused} of them refused" if self.refused else ""
        bad = f", {len(self.unread)} could not be read" if self.unread else ""
        return f"{self.source}: {self.records} records, {self.spans} spans read{lost}{bad}."


def source_of(path: str) -> Source | None:
    """The source of a file; None for traces in Assay's own form, unknown records, and standard
    input.
    """
    if path == "-":
        return None
    for _, record in records(path):
        if not isinstance(record, Invalid):
            return catalog.recognized(record)
    return None


async def store_file(
    client: Client, path: str, source: Source, *, on_bad: Callable[[str], None]
) -> Report:
    """Raises AssayError if the file becomes unreadable or the server is unavailable."""
    report = Report(source.name)
    waiting: list[Json] = []
    for export in _exports(path, source, report, on_bad):
        report.spans += span_count(export)
        resources = export.get("resourceSpans")
        if resources is None:
            await _send(client, export, report, on_bad)
            continue
        waiting += resources
        if sum(span_count({"resourceSpans": [one]}) for one in waiting) >= _SPANS_PER_REQUEST:
            await _send(client, {"resourceSpans": waiting}, report, on_bad)
            waiting = []
    if waiting:
        await _send(client, {"resourceSpans": waiting}, report, on_bad)
    return report


def first_trace(path: str, source: Source, report: Report) -> Export:
    """All spans of the first trace in the file. Counts the whole file."""
    wanted: str | None = None
    resources: list[Json] = []
    for export in _exports(path, source, report, lambda _: None):
        report.spans += span_count(export)
        for resource, span in _spans(export):
            wanted = wanted or _trace_id(span)
            if _trace_id(span) == wanted:
                resources.append(_alone(resource, span))
    return {"resourceSpans": resources}


def _exports(
    path: str, source: Source, report: Report, on_bad: Callable[[str], None]
) -> Iterator[Export]:
    for where, record in records(path):
        report.records += 1
        try:
            if isinstance(record, Invalid):
                raise record
            if not source.recognizes(record):
                raise Invalid(f"no {source.name}")
            yield from source.exports(record)
        except (Invalid, ValueError, TypeError, KeyError, AttributeError) as error:
            reason = error.message if isinstance(error, Invalid) else str(error)
            report.unread.append(f"{path}: {where}: {reason}")
            if len(report.unread) <= _MAX_TOLD:
                on_bad(report.unread[-1])


async def _send(
    client: Client, export: Export, report: Report, on_bad: Callable[[str], None]
) -> None:
    logs = "resourceLogs" in export or "resource_logs" in export
    try:
        partial = await client.store_export("/v1/logs" if logs else "/v1/traces", export)
    except (Invalid, TooLarge) as error:
        report.refused += span_count(export)
        on_bad(error.message)
        return
    rejected = int(partial.get("rejectedSpans") or 0)
    report.refused += rejected
    if rejected:
        on_bad(str(partial.get("errorMessage") or "Some spans were refused."))


def span_count(export: Export) -> int:
    return sum(1 for _ in _spans(export))


def _spans(export: Export) -> Iterator[tuple[Json, Json]]:
    for resource in _listed(export, "resourceSpans", "resource_spans"):
        for scope in _listed(resource, "scopeSpans", "scope_spans"):
            for span in _listed(scope, "spans"):
                yield {"resource": resource.get("resource"), "scope": scope.get("scope")}, span


def _listed(holder: Json, *names: str) -> list[Json]:
    found: Any = next((holder[name] for name in names if name in holder), None)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _alone(about: Json, span: Json) -> Json:
    scope = {"scope": about["scope"], "spans": [span]}
    return {"resource": about["resource"], "scopeSpans": [scope]}


def _trace_id(span: Json) -> str:
    return str(span.get("traceId") or span.get("trace_id") or "").lower()
