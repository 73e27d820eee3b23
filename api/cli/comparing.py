"""`assay compare` and `assay noise`."""

import asyncio
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from rich.table import Table

from api.cli import budgets, screens
from api.cli.client import Client
from api.cli.command import Address, finish
from core import json_codec
from core.errors import AssayError, Conflict

_POLL_SECONDS: Final = 1.0
_SIDES: Final = ("baseline", "candidate")
_MAX_SHOWN: Final = 5
"""Maximum number of listed steps, and of listed kinds of findings, per metric."""

PairBy = Annotated[str | None, typer.Option(help="trace_id, metadata.<path> or tag:<prefix>.")]
Metrics = Annotated[
    list[str] | None, typer.Option("--metric", "-m", help="Metric to compare. Repeatable.")
]
Margin = Annotated[float, typer.Option(help="Differences within ± margin do not matter.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's JSON.")]


def register(app: typer.Typer) -> None:
    app.command()(compare)
    app.command()(noise)


def compare(
    context: typer.Context,
    baseline: Annotated[UUID, typer.Argument(help="Run to compare with.")],
    candidate: Annotated[UUID, typer.Argument(help="Run to judge as better or worse.")],
    pair_by: PairBy = None,
    metric: Metrics = None,
    margin: Margin = 0.02,
    json: AsJson = False,
) -> None:
    """Compare two runs, and show whether the second is better than the first."""
    body = body_of(baseline, candidate, pair_by, metric, margin)
    comparison = finish(lambda: _compare(context.obj, body))
    if json:
        typer.echo(json_codec.dumps(comparison))
        return
    screens.out.print(_table(comparison))
    for one in comparison["metrics"]:
        screens.print_verbatim(one["summary"])
    for one in comparison["metrics"]:
        _print_blame(one)
    screens.out.print(f"Comparison {comparison['id']}", soft_wrap=True)


def body_of(
    baseline: object, candidate: object, pair_by: str | None, metrics: Any, margin: float
) -> dict[str, Any]:
    """The body of the request for a comparison, without values that are None."""
    given = {"pair_by": pair_by, "metrics": list(metrics or ()) or None}
    return {
        "baseline": str(baseline),
        "candidate": str(candidate),
        "margin": margin,
        **{name: value for name, value in given.items() if value is not None},
    }


async def ended(client: Client, run_id: str) -> None:
    """Returns once a run has ended. Raises NotFound, and Conflict if it is paused at its budget."""
    has_noted = False
    async for run in client.follow(run_id):
        if run.get("paused"):
            raise Conflict(f"{run['activity']}. {budgets.how_to_go_on(run)}")
        if not has_noted and run["status"] not in ("COMPLETED", "FAILED"):
            screens.note(f"Waiting for the end of run {run_id}.")
            has_noted = True


async def scores_of_ended(client: Client, run_id: str) -> list[dict[str, Any]]:
    """The scores of a run over traces or sessions, once it has ended. Raises as `ended` does."""
    await ended(client, run_id)
    path, _ = await client.find_run(run_id)
    found: list[dict[str, Any]] = await client.get(f"{path}/scores")
    return found


async def compared(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    """Waits for the end of both runs and compares them. Many pairs take minutes."""
    for side in _SIDES:
        await ended(client, body[side])
    comparison: dict[str, Any] = await client.post("/evaluations/comparisons", body)
    while comparison["status"] in ("PENDING", "RUNNING"):
        await asyncio.sleep(_POLL_SECONDS)
        comparison = await client.get(f"/evaluations/comparisons/{comparison['id']}")
    if comparison["status"] == "FAILED":
        raise AssayError(comparison["error_message"] or "The runs could not be compared.")
    return comparison


async def _compare(address: Address, body: dict[str, Any]) -> dict[str, Any]:
    async with address.client() as client:
        return await compared(client, body)


def _table(comparison: dict[str, Any]) -> Table:
    table = Table(
        *("metric", "verdict", "pairs", "baseline", "candidate", "difference", "interval", "p"),
        "noise",
    )
    for metric in comparison["metrics"]:
        interval = metric["interval"]
        between = f"{interval['low']:.3f} to {interval['high']:.3f}" if interval else "–"
        table.add_row(
            *(screens.escape(metric["metric"]), metric["verdict"], f"{metric['pairs']:,}"),
            *(f"{metric[name]:.3f}" for name in ("baseline_mean", "candidate_mean")),
            *(f"{metric['difference']:+.3f}", between, f"{metric['p_value']:.3g}"),
            "–" if metric["noise"] is None else f"±{metric['noise']:.3f}",
        )
    return table


def _print_blame(metric: dict[str, Any]) -> None:
    blame = metric.get("blame") or {}
    moved = [*blame.get("steps", ())[:_MAX_SHOWN], *blame.get("kinds", ())[:_MAX_SHOWN]]
    moved = [shift for shift in moved if shift["difference"]]
    if not moved:
        return
    table = screens.table(f"{metric['metric']}: blame moved to", "baseline", "candidate")
    for shift in moved:
        counts = (f"{shift[side]:,} ({shift[f'{side}_rate']:.0%})" for side in _SIDES)
        table.add_row(screens.escape(shift["name"]), *counts)
    screens.out.print(table)


def noise(
    context: typer.Context,
    run_id: Annotated[UUID, typer.Argument(metavar="RUN", help="Id of a run that has ended.")],
    sample: Annotated[int, typer.Option(min=1, max=1000, help="Targets to judge again.")] = 50,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Print the measurement's id and return at once.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Judge a sample of a run again, and show how much its scores change.

    Exit code 1 if the sample cannot be judged or its run pauses at a budget.
    """
    measurement = finish(lambda: _noise(context.obj, run_id, sample, no_wait))
    if json:
        typer.echo(json_codec.dumps(measurement))
        return
    if no_wait:
        screens.out.print(measurement["id"])
        return
    if measurement["status"] == "FAILED":
        screens.fail(f"The sample could not be judged again; see run {measurement['id']}.")
        raise typer.Exit(1)
    table = screens.table("metric", "pairs", "spread", "mean moved by")
    for one in measurement["metrics"]:
        table.add_row(
            *(screens.escape(one["metric"]), f"{one['pairs']:,}", f"{one['spread']:.3f}"),
            f"{one['mean_difference']:+.3f}",
        )
    screens.out.print(table)
    screens.out.print(
        "Spread: how much one item's score changes when "
        f"{screens.escape(measurement['model'])} judges it again. "
        "`assay compare` shows what this means for a mean.",
        soft_wrap=True,
    )


async def _noise(address: Address, run_id: UUID, sample: int, no_wait: bool) -> dict[str, Any]:
    async with address.client() as client:
        measurement: dict[str, Any] = await client.post(
            "/evaluations/noise", {"run_id": str(run_id), "sample": sample}
        )
        if no_wait:
            return measurement
        await ended(client, measurement["id"])
        while measurement["status"] not in ("COMPLETED", "FAILED"):
            await asyncio.sleep(_POLL_SECONDS)
            measurement = await client.get(f"/evaluations/noise/{measurement['id']}")
    return measurement
