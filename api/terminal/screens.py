"""What the `assay` command shows: progress bars on a terminal, plain lines elsewhere."""

import shutil
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Self
from uuid import UUID

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
)
from rich.table import Table

from core import clock
from core.jsonlines import JsonLines
from core.tables import ApiKey
from evals.rules import BASELINE_NOTE

Json = dict[str, Any]

# Progress and errors go to standard error, so that results can be piped.
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def command() -> str:
    """How this very command can be typed again from where the user stands."""
    called = sys.argv[0]
    return "assay" if called == shutil.which("assay") or "assay" not in called else called


def fail(sentence: str) -> None:
    err.print(f"[red]Error:[/red] {escape(sentence)}", soft_wrap=True)


def note(sentence: str) -> None:
    err.print(f"[yellow]{escape(sentence)}[/yellow]", soft_wrap=True)


class Reading:
    """Counts the lines of one file while it is imported, over a bar of its bytes."""

    def __init__(self, lines: JsonLines) -> None:
        self._lines = lines
        self.stored = 0
        self.bad = 0
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            DownloadColumn(),
            TextColumn("{task.fields[said]}"),
            console=err,
            disable=not err.is_terminal,
        )
        self._task = self._bar.add_task(escape(lines.name), total=lines.size, said="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def count_stored(self) -> None:
        self.stored += 1
        self._bar.update(
            self._task, completed=self._lines.position, said=f"{self.stored} traces stored"
        )

    def tell_bad(self, sentence: str) -> None:
        self.bad += 1
        fail(sentence)


async def watch(states: AsyncIterator[Json]) -> Json:
    """Shows a run until its end, and returns its last state."""
    return await (_watch_live(states) if err.is_terminal else _watch_plain(states))


async def _watch_live(states: AsyncIterator[Json]) -> Json:
    run: Json = {}
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("traces{task.fields[said]}"),
        console=err,
    )
    with bar:
        task = bar.add_task("Judging", total=None, said="")
        async for run in states:
            bar.update(
                task,
                total=run["total_traces"] or None,
                completed=run["evaluated_count"],
                said=escape(_said(run)),
            )
    return run


async def _watch_plain(states: AsyncIterator[Json]) -> Json:
    """A line at each tenth and each change of what the run does, so that logs stay short."""
    run: Json = {}
    shown: tuple[str, str | None, int] | None = None
    async for run in states:
        total, done = run["total_traces"], run["evaluated_count"]
        now = (run["status"], run["activity"], done * 10 // total if total else 0)
        if now != shown:
            err.print(
                f"{run['status']}: {done} of {total} traces{escape(_said(run))}", soft_wrap=True
            )
            shown = now
    return run


def _said(run: Json) -> str:
    failed = f", {run['failed_count']} pairs failed" if run["failed_count"] else ""
    return failed + (f" · {run['activity']}" if run["activity"] else "")


def ending(run: Json) -> str:
    """One sentence on how a run ended."""
    if run["status"] == "FAILED":
        return f"Run {run['id']} failed: {run['error_message'] or 'no reason was recorded'}"
    return f"Run {run['id']} completed: {run['evaluated_count']} traces judged by {run['model']}."


def summary(scores: Iterable[Json], metrics: Sequence[str]) -> Table:
    """Per metric what became of its pairs; the mean is over the scored ones alone."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for heading in ("scored", "not applicable", "failed", "mean"):
        table.add_column(heading, justify="right")
    by_metric: dict[str, list[Json]] = {name: [] for name in metrics}
    for score in scores:
        by_metric.setdefault(score["name"], []).append(score)
    for name, rows in by_metric.items():
        values = [float(row["value"]) for row in rows if is_number(row)]
        failed = sum(row["status"] == "FAILED" for row in rows)
        mean = f"{sum(values) / len(values):.2f}" if values else "–"
        beside = len(rows) - len(values) - failed
        table.add_row(name, str(len(values)), str(beside), str(failed), mean)
    return table


def is_number(score: Json) -> bool:
    return score["status"] == "SUCCESS" and score["value"] is not None


def score_table(scores: Sequence[Json]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("trace", no_wrap=True)
    table.add_column("metric", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("reason", ratio=1)
    for score in sorted(scores, key=lambda s: (s["trace_id"], s["name"])):
        table.add_row(score["trace_id"], score["name"], cell(score), escape(score["reason"] or ""))
    return table


def example_table(
    scores: Sequence[Json], names: Mapping[str, str], metrics: Sequence[str]
) -> Table:
    """One row a trace, worst first, with the reason of its lowest score.

    A column is headed by the first word of its metric, to leave room for the reason.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("trace", max_width=22)
    for name in metrics:
        table.add_column(name.split("_")[0], justify="right", no_wrap=True)
    table.add_column("why the lowest", ratio=1)
    by_trace: dict[str, dict[str, Json]] = {id: {} for id in names}
    for score in scores:
        by_trace.setdefault(score["trace_id"], {})[score["name"]] = score
    ranked = sorted(by_trace.items(), key=lambda item: _mean(item[1].values()))
    for id, row in ranked:
        cells = [cell(row[name]) if name in row else "" for name in metrics]
        lowest = min(row.values(), key=_rank, default=None)
        # Above the table stands who judged.
        reason = (lowest["reason"] or "").removesuffix(BASELINE_NOTE).strip() if lowest else ""
        table.add_row(escape(names.get(id, id)), *cells, escape(reason))
    return table


def _mean(scores: Iterable[Json]) -> float:
    values = [float(score["value"]) for score in scores if is_number(score)]
    return sum(values) / len(values) if values else 1.0


def _rank(score: Json) -> float:
    if score["status"] == "FAILED":
        return -1.0
    return float(score["value"]) if is_number(score) else 2.0


def cell(score: Json) -> str:
    if score["status"] == "FAILED":
        return "[red]failed[/red]"
    if score["value"] is None:
        return "[dim]n/a[/dim]"
    if not is_number(score) or score["data_type"] != "NUMERIC":
        return escape(str(score["value"]))
    value = float(score["value"])
    colour = "red" if value < 0.5 else "yellow" if value < 0.8 else "green"
    return f"[{colour}]{value:.2f}[/{colour}]"


def key_table(rows: Iterable[ApiKey], projects: Mapping[UUID, str | None]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "name", "begins", "scope", "project", "made", "state"):
        # An id is copied from here into a command: never broken, however narrow the window.
        table.add_column(heading, overflow="fold", no_wrap=heading == "id")
    for row in rows:
        project = projects[row.project_id] if row.project_id else None
        table.add_row(
            str(row.id),
            escape(row.name),
            escape(row.prefix),
            row.scope,
            escape(project or "any"),
            f"{row.created_at:%Y-%m-%d}",
            _key_state(row),
        )
    return table


def _key_state(row: ApiKey) -> str:
    if row.revoked_at:
        return f"revoked {row.revoked_at:%Y-%m-%d}"
    if row.expires_at is None:
        return "in use"
    verb = "expired" if row.expires_at <= clock.now() else "until"
    return f"{verb} {row.expires_at:%Y-%m-%d}"
