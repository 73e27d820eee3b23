"""The `assay` command."""

import asyncio
from importlib import metadata
from typing import Annotated, Any
from uuid import UUID

import typer

from api.cli import (
    budgets,
    codec_endpoint,
    comparing,
    doctor,
    export,
    gate,
    import_command,
    keys,
    projects,
    reports,
    screens,
)
from api.cli.command import Address, finish
from core import json_codec
from core.errors import Invalid
from core.filters import TraceFilters
from core.settings import Settings

app = typer.Typer(
    help="Durable evaluation runs for agent traces.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(keys.app, name="keys", no_args_is_help=True)
app.add_typer(export.app, name="export", no_args_is_help=True)
app.add_typer(projects.app, name="projects", no_args_is_help=True)
reports.register(app)
budgets.register(app)
codec_endpoint.register(app)
comparing.register(app)
doctor.register(app)
gate.register(app)
import_command.register(app)


def _show_version(asked: bool) -> None:
    if asked:
        screens.out.print(f"assay {metadata.version('assay')}")
        raise typer.Exit


def _not_an_argument(context: typer.Context, parameter: typer.CallbackParam, value: str) -> str:
    """Refuses a key as an argument, because every user of a machine can read arguments of
    processes.
    """
    source = context.get_parameter_source(str(parameter.name))
    if source is not None and source.name == "COMMANDLINE":
        raise typer.BadParameter("Set ASSAY_API_KEY instead: others can read arguments.")
    return value


@app.callback()
def main(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(envvar="ASSAY_URL", help="Address of the API.")] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="ASSAY_API_KEY",
            help="Read from the environment only.",
            show_envvar=True,
            callback=_not_an_argument,
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = Address(url, api_key)


@app.command()
def up(
    no_demo: Annotated[
        bool, typer.Option("--no-demo", help="Do not judge the bundled examples.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Number of worker processes.")] = 1,
) -> None:
    """Start Temporal, workers and the API on this machine, and serve until Ctrl-C."""
    # Temporal's client is slow to import, and only this command needs it.
    from api.cli.up import serve

    finish(lambda: serve(Settings.read(), workers=workers, demo=not no_demo))


@app.command()
def run(
    context: typer.Context,
    metric: Annotated[
        list[str],
        typer.Option(
            "--metric",
            "-m",
            help="A metric such as task_completion; an unknown name lists them all. Repeatable.",
        ),
    ],
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            "-f",
            metavar="KEY=VALUE",
            help=f"KEY: {', '.join(TraceFilters.model_fields)}. Repeatable.",
        ),
    ] = None,
    sampling_rate: Annotated[
        float, typer.Option(help="Share of the matching traces to judge, from 0 to 1.")
    ] = 1.0,
    model: Annotated[str | None, typer.Option(help="Judge model. Default: the server's.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    max_cost_usd: budgets.MaxCost = None,
    max_tokens: budgets.MaxTokens = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Print the run's id and return at once.")
    ] = False,
) -> None:
    """Judge stored traces and follow the run until it ends or pauses at its budget.

    Exit code 1 if it fails or pauses.
    """
    body = {"metrics": metric, "sampling_rate": sampling_rate, "model": model, "name": name}
    body |= budgets.given(max_cost_usd, max_tokens)
    ended = finish(lambda: _run(context.obj, body, filters or [], no_wait))
    if ended and ended["status"] != "COMPLETED":
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
                f"Stopped following; the run continues: {screens.command()} scores {started['id']}"
            )
            raise
        scores = await client.get(f"/evaluations/trace-runs/{ended['id']}/scores")
    screens.out.print(screens.summary(scores, ended["metric_names"]))
    if ended["status"] == "FAILED":
        screens.fail(screens.ending(ended))
    elif ended["paused"]:
        budgets.show_pause(ended)
    else:
        screens.out.print(screens.ending(ended), soft_wrap=True)
        screens.out.print(f"Every reason: {screens.command()} scores {ended['id']}")
    return ended


def _filters(pairs: list[str]) -> dict[str, Any]:
    """Only `tags` may be repeated. The server validates names and values."""
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
    json: Annotated[bool, typer.Option("--json", help="Print the API's JSON.")] = False,
) -> None:
    """Show the scores of a run with their reasons and findings."""
    response = finish(lambda: _scores(context.obj, run_id))
    if json:
        typer.echo(json_codec.dumps(response))
    elif not response:
        screens.out.print("This run has no scores yet.")
    else:
        screens.out.print(screens.score_tables(response))


async def _scores(address: Address, run_id: UUID) -> list[dict[str, Any]]:
    async with address.client() as client:
        path, _ = await client.find_run(str(run_id))
        found: list[dict[str, Any]] = await client.get(f"{path}/scores")
        return found
