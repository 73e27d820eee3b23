"""The `assay` command."""

import asyncio
from dataclasses import dataclass
from importlib import metadata
from typing import Annotated, Any
from uuid import UUID

import typer

from api.terminal import keys, screens
from api.terminal.client import Client, store_lines
from api.terminal.edge import Address, finish
from core import jsontext
from core.errors import Invalid
from core.jsonlines import JsonLines
from core.settings import Settings

app = typer.Typer(
    help="Durable evaluation runs for agent traces.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(keys.app, name="keys", no_args_is_help=True)


def _show_version(asked: bool) -> None:
    if asked:
        screens.out.print(f"assay {metadata.version('assay')}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(envvar="ASSAY_URL", help="Address of the API.")] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="ASSAY_API_KEY", help="API key.", show_envvar=True)
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = Address(url, api_key)


@app.command()
def up(
    no_demo: Annotated[
        bool, typer.Option("--no-demo", help="Leave the bundled examples out.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
) -> None:
    """Start Temporal, workers and the API on this machine, and serve until Ctrl-C."""
    # Temporal's client is slow to import; the other commands do without.
    from api.terminal.up import serve

    finish(lambda: serve(Settings.read(), workers=workers, demo=not no_demo))


@app.command("import")
def import_(
    context: typer.Context,
    files: Annotated[
        list[str], typer.Argument(help="JSON Lines, plain or gzipped; - for standard input.")
    ],
) -> None:
    """Store traces: one trace body a line. Bad lines are named, the good ones are stored."""
    so_far = finish(lambda: _import(context.obj, files))
    unread = f", {so_far.unread} of {len(files)} files not read to the end" if so_far.unread else ""
    screens.out.print(f"{so_far.stored} traces stored, {so_far.bad} lines bad{unread}.")
    if so_far.bad or so_far.unread:
        raise typer.Exit(1)


@dataclass(slots=True)
class _Imported:
    """`unread`: files that could not be read to their end."""

    stored: int = 0
    bad: int = 0
    unread: int = 0


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
    with JsonLines(file) as lines, screens.Reading(lines) as counter:
        try:
            await store_lines(
                client, lines, on_stored=counter.count_stored, on_bad=counter.tell_bad
            )
        finally:
            so_far.stored += counter.stored
            so_far.bad += counter.bad


@app.command()
def run(
    context: typer.Context,
    metric: Annotated[
        list[str],
        typer.Option(
            "--metric",
            "-m",
            help="Such as task_completion; an unknown one is answered with the list. Repeatable.",
        ),
    ],
    filter: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            "-f",
            metavar="KEY=VALUE",
            help="KEY: status, session_id, user_id, tags, name, date_from or date_to. Repeatable.",
        ),
    ] = None,
    sampling_rate: Annotated[
        float, typer.Option(help="Share of the matching traces to judge, 0 to 1.")
    ] = 1.0,
    model: Annotated[str | None, typer.Option(help="Judge; the server's default if unset.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the run.")] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Print the run's id and leave it to itself.")
    ] = False,
) -> None:
    """Judge stored traces, and follow the run to its end. Exit code 1 when it fails."""
    body = {"metrics": metric, "sampling_rate": sampling_rate, "model": model, "name": name}
    ended = finish(lambda: _run(context.obj, body, filter or [], no_wait))
    if ended and ended["status"] == "FAILED":
        raise typer.Exit(1)


async def _run(
    address: Address, body: dict[str, Any], filters: list[str], no_wait: bool
) -> dict[str, Any] | None:
    body["filters"] = _filters(filters)
    async with address.client() as client:
        started = await client.post("/evaluations/trace-runs", body)
        if no_wait:
            screens.out.print(started["id"])
            return None
        screens.out.print(f"Run {started['id']}: {started['total_traces']} traces")
        try:
            ended = await screens.watch(client.follow(started["id"]))
        except asyncio.CancelledError:
            screens.note(
                f"No longer following; the run goes on: {screens.command()} scores {started['id']}"
            )
            raise
        scores = await client.get(f"/evaluations/trace-runs/{ended['id']}/scores")
    screens.out.print(screens.summary(scores, ended["metric_names"]))
    if ended["status"] == "FAILED":
        screens.fail(screens.ending(ended))
    else:
        screens.out.print(screens.ending(ended), soft_wrap=True)
        screens.out.print(f"Every reason: {screens.command()} scores {ended['id']}")
    return ended


def _filters(pairs: list[str]) -> dict[str, Any]:
    """`tags` may come several times; the server judges names and values."""
    filters: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise Invalid(f"--filter {pair}: write it as KEY=VALUE, for example name=support.")
        if key == "tags":
            filters.setdefault("tags", []).append(value)
        elif key in filters:
            raise Invalid(f"--filter {key} is given twice; only tags may be repeated.")
        else:
            filters[key] = value
    return filters


@app.command()
def scores(
    context: typer.Context,
    run_id: Annotated[UUID, typer.Argument(help="Id of a run.")],
    json: Annotated[bool, typer.Option("--json", help="As the API gives them.")] = False,
) -> None:
    """Show the scores of a run with their reasons."""
    found = finish(lambda: _scores(context.obj, run_id))
    if json:
        typer.echo(jsontext.dumps(found))
    elif not found:
        screens.out.print("This run has no scores yet.")
    else:
        screens.out.print(screens.score_tables(found))


async def _scores(address: Address, run_id: UUID) -> list[dict[str, Any]]:
    async with address.client() as client:
        found: list[dict[str, Any]] = await client.get(f"/evaluations/trace-runs/{run_id}/scores")
        return found
