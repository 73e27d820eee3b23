"""`assay resume`, and the budgets that `assay run` takes."""

from typing import Annotated, Any
from uuid import UUID

import typer

from api.cli import screens
from api.cli.command import Address, finish
from core.errors import NotFound

MaxCost = Annotated[
    float | None,
    typer.Option(help="Budget in US dollars; the run pauses at this limit.", min=0.0),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(help="Budget in prompt and answer tokens; the run pauses at this limit.", min=1),
]


def given(max_cost_usd: float | None, max_tokens: int | None) -> dict[str, Any]:
    """The fields of a request, without values that are None."""
    found = {"max_cost_usd": max_cost_usd, "max_tokens": max_tokens}
    return {name: value for name, value in found.items() if value is not None}


def show_pause(run: dict[str, Any]) -> None:
    screens.note(f"{run['activity']}.")
    screens.out.print(how_to_go_on(run), soft_wrap=True)


def how_to_go_on(run: dict[str, Any]) -> str:
    option = "--max-tokens" if run["max_cost_usd"] is None else "--max-cost-usd"
    return f"Continue with a higher budget: {screens.command()} resume {run['id']} {option} …"


def register(app: typer.Typer) -> None:
    app.command("resume")(resume)


def resume(
    context: typer.Context,
    run_id: Annotated[UUID, typer.Argument(help="Id of a run.")],
    max_cost_usd: MaxCost = None,
    max_tokens: MaxTokens = None,
) -> None:
    """Resume a run that is paused at its own budget or at the budget of its project."""
    body = given(max_cost_usd, max_tokens)
    run = finish(lambda: _resume(context.obj, run_id, body))
    screens.out.print(f"Run {run['id']} continues: {run['activity'] or run['status'].lower()}.")


async def _resume(address: Address, run_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    async with address.client() as client:
        try:
            run = await client.post(f"/evaluations/trace-runs/{run_id}/resume", body)
        except NotFound:
            run = await client.post(f"/evaluations/session-runs/{run_id}/resume", body)
    found: dict[str, Any] = run
    return found
