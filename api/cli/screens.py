"""The output of the `assay` command: progress bars on a terminal, plain lines elsewhere."""

import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from rich.console import Console, Group, RenderableType
from rich.markup import escape as escape_markup
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
)
from rich.table import Column, Table

from api.cli.findings import finding_lines
from api.cli.jsonlines import JsonLines
from core import clock
from core.truncation import one_line
from evals.judges.offline import BASELINE_NOTE

if TYPE_CHECKING:
    # The database is slow to import, and only the commands for keys need it.
    from core.db.tables import ApiKey

Json = dict[str, Any]

# Progress and errors go to standard error, so that results can be piped.
out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)


# Control characters except line break and tab; terminal escape sequences begin with one.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escape(text: str) -> str:
    """Untrusted text, without characters that format the output or control the terminal."""
    return escape_markup(without_controls(text))


def print_verbatim(text: str) -> None:
    """Prints untrusted text as it is, without control characters."""
    out.print(without_controls(text), soft_wrap=True, markup=False, highlight=False)


def without_controls(text: str) -> str:
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def command() -> str:
    """The command line for another call from the working directory."""
    called = sys.argv[0]
    if called == shutil.which("assay") or "assay" not in called:
        return "assay"
    return min(called, os.path.relpath(called), key=len)


def fail(sentence: str) -> None:
    _print_error(f"[red]Error:[/red] {escape(sentence)}")


def note(sentence: str) -> None:
    _print_error(f"[yellow]{escape(sentence)}[/yellow]")


def _print_error(sentence: str) -> None:
    # Wraps between words on a terminal; writes a single line to a log.
    err.print(sentence, soft_wrap=not err.is_terminal)


class ImportProgress:
    """Counts the lines of a file during its import, and shows a progress bar over its bytes."""

    def __init__(self, lines: JsonLines) -> None:
        self._lines = lines
        self.stored = 0
        self.bad = 0
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[said]}"),
            console=err,
            disable=not err.is_terminal,
        )
        name = escape(Path(lines.name).name)
        self._task = self._bar.add_task(name, total=lines.size, said="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def count_stored(self) -> None:
        self.stored += 1
        self._show()

    def report_bad(self, sentence: str) -> None:
        self.bad += 1
        self._show()
        fail(sentence)

    def _show(self) -> None:
        bad = f", {self.bad} bad" if self.bad else ""
        self._bar.update(
            self._task, completed=self._lines.position, said=f"{self.stored} stored{bad}"
        )


async def watch(states: AsyncIterator[Json]) -> Json:
    """Shows a run until it ends. Returns its final state."""
    return await (_watch_live(states) if err.is_terminal else _watch_plain(states))


async def _watch_live(states: AsyncIterator[Json]) -> Json:
    run: Json = {}
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        # The activity may take several lines; the counts stay on the first line.
        TextColumn("traces{task.fields[said]}", table_column=Column(ratio=1)),
        console=err,
        expand=True,
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
    """Prints a line at each tenth and at each change of the activity, so that logs stay short.

    Numbers in the activity, such as the time of the next attempt, do not count as a change.
    """
    run: Json = {}
    shown: tuple[str, str, int] | None = None
    async for run in states:
        total, done = run["total_traces"], run["evaluated_count"]
        doing = re.sub(r"\d+", "", run["activity"] or "")
        now = (run["status"], doing, done * 10 // total if total else 0)
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
    """Describes in one sentence how a run ended."""
    if run["status"] == "FAILED":
        return f"Run {run['id']} failed: {run['error_message'] or 'no reason was recorded'}"
    return f"Run {run['id']} completed: {run['evaluated_count']} traces judged by {run['model']}."


def summary(scores: Iterable[Json], metrics: Sequence[str]) -> Table:
    """Outcomes per metric. The mean covers scored pairs only."""
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
        table.add_row(escape(name), str(len(values)), str(beside), str(failed), mean)
    return table


def is_number(score: Json) -> bool:
    numeric = score.get("data_type", "NUMERIC") == "NUMERIC"
    return numeric and score["status"] == "SUCCESS" and score["value"] is not None


def score_tables(scores: Sequence[Json]) -> Group:
    """One table per trace or session, worst first: a column of ids leaves no room for reasons."""
    parts: list[RenderableType] = []
    by_rules = any((score["reason"] or "").endswith(BASELINE_NOTE) for score in scores)
    if by_rules:
        parts += [f"[dim]{BASELINE_NOTE}[/dim]", ""]
    widest = max(len(score["name"]) for score in scores)
    by_target: dict[str, list[Json]] = {}
    for score in sorted(scores, key=lambda s: (_target(s), s["name"])):
        by_target.setdefault(_target(score), []).append(score)
    for target, rows in sorted(by_target.items(), key=lambda item: _mean(item[1])):
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(min_width=widest, no_wrap=True)
        table.add_column(min_width=len("failed"), justify="right", no_wrap=True)
        table.add_column(ratio=1)
        for row in rows:
            reason = row["reason"] or ""
            if by_rules:
                reason = reason.removesuffix(BASELINE_NOTE).rstrip()
            table.add_row(escape(row["name"]), cell(row), escape(reason))
            for line in finding_lines(row):
                table.add_row("", "", f"[dim]{escape(line)}[/dim]")
        parts += [f"[bold]{escape(target)}[/bold]", table]
    return Group(*parts)


def _target(score: Json) -> str:
    return str(score["trace_id"] if "trace_id" in score else score["session_id"])


def example_table(
    scores: Sequence[Json], names: Mapping[str, str], metrics: Sequence[str]
) -> Table:
    """One row per trace, worst first, with the reason of its lowest score.

    Columns carry only the first word of their metric, to leave room for the reason.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("trace", max_width=22)
    for name in metrics:
        table.add_column(escape(name.split("_")[0]), justify="right", no_wrap=True)
    table.add_column("why the lowest", ratio=1)
    by_trace: dict[str, dict[str, Json]] = {trace_id: {} for trace_id in names}
    for score in scores:
        by_trace.setdefault(score["trace_id"], {})[score["name"]] = score
    ranked = sorted(by_trace.items(), key=lambda item: _mean(item[1].values()))
    for trace_id, row in ranked:
        cells = [cell(row[name]) if name in row else "" for name in metrics]
        lowest = min(row.values(), key=_rank, default=None)
        # The text above the table names the judge.
        reason = (lowest["reason"] or "").removesuffix(BASELINE_NOTE).strip() if lowest else ""
        table.add_row(escape(names.get(trace_id, trace_id)), *cells, escape(_gist(reason)))
    return table


def _gist(reason: str) -> str:
    """The first sentence, shortened to two lines of a narrow screen."""
    first = re.split(r"(?<=[.!?])\s", reason, maxsplit=1)[0]
    return one_line(first, 80)


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
    success = (score.get("metadata") or {}).get("success")
    if success is None:
        success = value >= 0.5
    color = "red" if not success else "yellow" if value < 0.8 else "green"
    return f"[{color}]{value:.2f}[/{color}]"


def table(*headings: str, gap: int = 2) -> Table:
    """`gap`: characters between columns."""
    made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def key_table(rows: "Iterable[ApiKey]", projects: Mapping[UUID, str | None]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    # Two lines per key, so that the id stays on one line and can be copied for `keys revoke`.
    for heading in ("id, scope, project", "name, begins", "state"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        project = projects[row.project_id] if row.project_id else None
        table.add_row(
            f"{row.id}\n[dim]{row.scope} in {escape(project or 'any project')}[/dim]",
            f"{escape(row.name)}\n[dim]{escape(row.prefix)}[/dim]",
            f"{_key_state(row)}\n[dim]made {row.created_at:%Y-%m-%d}[/dim]",
        )
    return table


def _key_state(row: "ApiKey") -> str:
    if row.revoked_at:
        return f"revoked {row.revoked_at:%Y-%m-%d}"
    if row.expires_at is None:
        return "in use"
    verb = "expired" if row.expires_at <= clock.now() else "until"
    return f"{verb} {row.expires_at:%Y-%m-%d}"
