"""`assay import` and `assay trace`: stores traces from files, and shows stored traces."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import ValidationError

from api.cli import screens, trace_screen
from api.cli.client import Client, store_lines
from api.cli.command import Address, finish
from api.cli.jsonlines import JsonLines, parse
from api.importers.importing import Report, first_trace, source_of, store_file
from core.errors import Invalid

trace_app = typer.Typer(help="Show stored traces.", no_args_is_help=True)


@dataclass(slots=True)
class _Imported:
    """`unread` counts files that could not be read to their end.

    `foreign` counts files of other tools.
    """

    stored: int = 0
    bad: int = 0
    unread: int = 0
    native: int = 0


def register(app: typer.Typer) -> None:
    app.command("import")(import_)
    app.add_typer(trace_app, name="trace", no_args_is_help=True)


def import_(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            help="Traces as JSON Lines, or exports of Langfuse, Phoenix, LangSmith, MLflow, the "
            "OpenTelemetry collector, or OpenAI-style messages; plain or gzipped; - for standard "
            "input."
        ),
    ],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Store nothing; show the first trace as a judge reads it."),
    ] = False,
) -> None:
    """Store traces from files. Bad records are reported and skipped."""
    if dry_run:
        finish(lambda: _show_files(files))
        return
    so_far = finish(lambda: _import(context.obj, files))
    unread = f", {so_far.unread} of {len(files)} files not read to the end" if so_far.unread else ""
    if so_far.native or so_far.unread:
        screens.out.print(f"{so_far.stored} traces stored, {so_far.bad} lines bad{unread}.")
    if so_far.bad or so_far.unread:
        raise typer.Exit(1)


async def _import(address: Address, files: list[str]) -> _Imported:
    so_far = _Imported()
    async with address.client() as client:
        for file in files:
            try:
                await _import_file(client, file, so_far)
            except Invalid as error:
                screens.fail(error.message)
                so_far.unread += 1
    return so_far


async def _import_file(client: Client, file: str, so_far: _Imported) -> None:
    source = source_of(file)
    if source is not None:
        report = await store_file(client, file, source, on_bad=screens.fail)
        screens.out.print(f"{file}: {report.sentence()}", soft_wrap=True, highlight=False)
        so_far.bad += len(report.unread) + report.refused
        return
    so_far.native += 1
    with JsonLines(file) as lines, screens.ImportProgress(lines) as counter:
        try:
            await store_lines(
                client, lines, on_stored=counter.count_stored, on_bad=counter.report_bad
            )
        finally:
            so_far.stored += counter.stored
            so_far.bad += counter.bad


async def _show_files(files: list[str]) -> None:
    # Imported here, because other commands do not need the modules that read spans.
    from api.cli.reading import as_judged, trace_of_body, trace_of_export
    from core.trace_input import TraceBody

    for file in files:
        source = source_of(file)
        if source is None:
            try:
                trace = trace_of_body(TraceBody.model_validate(_first_line(file)))
            except ValidationError as error:
                raise Invalid(f"{file}: {error.errors()[0]['msg']}") from None
            recognized = "Traces in Assay's own form."
        else:
            report = Report(source.name)
            trace = trace_of_export(first_trace(file, source, report))
            recognized = report.sentence()
        screens.out.print(f"{file}: {recognized}", soft_wrap=True, highlight=False)
        screens.print_verbatim(as_judged(trace))


def _first_line(file: str) -> dict[str, Any]:
    with JsonLines(file) as lines:
        for _, line in lines:
            return parse(line)
    raise Invalid(f"{file}: no records")


@trace_app.command("show")
def show(
    context: typer.Context,
    trace_id: Annotated[UUID, typer.Argument(help="Id of the trace.")],
    as_judge: Annotated[
        bool, typer.Option("--as-judge", help="Print the trace as a judge reads it.")
    ] = False,
) -> None:
    """Print a stored trace with its spans."""

    async def read() -> dict[str, Any]:
        async with context.obj.client() as client:
            found: dict[str, Any] = await client.get(f"/traces/{trace_id}", patient=False)
            return found

    answer = finish(read)
    if as_judge:
        from api.cli.reading import as_judged, trace_of_answer

        screens.print_verbatim(as_judged(trace_of_answer(answer)))
    else:
        screens.out.print(trace_screen.trace_tree(answer))
