"""`assay usage` and `assay audit`: usage of judge calls, and the audit log."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from api.cli import screens
from api.cli.command import Address, finish
from core import json_codec


class Grouping(StrEnum):
    DAY = "day"
    MODEL = "model"
    METRIC = "metric"
    MONITOR = "monitor"
    RUN = "run"


Json = Annotated[bool, typer.Option("--json", help="Print the API's JSON.")]

# Short headings, so that a terminal of 80 columns shows all of them.
_USAGE_COLUMNS = {
    "calls": "judge_calls",
    "tokens in": "prompt_tokens",
    "tokens out": "completion_tokens",
    "cost": "cost_usd",
    "repairs": "repair_calls",
    "repair cost": "repair_cost_usd",
    "pairs": "pairs_judged",
    "from cache": "pairs_from_cache",
    "saved": "saved_usd",
}


def register(app: typer.Typer) -> None:
    app.command("usage")(usage)
    app.command("audit")(audit)


def usage(
    context: typer.Context,
    group_by: Annotated[Grouping, typer.Option(help="Group by this.")] = Grouping.DAY,
    date_from: Annotated[str | None, typer.Option(help="ISO 8601 date or time.")] = None,
    date_to: Annotated[str | None, typer.Option(help="ISO 8601 date or time.")] = None,
    json: Json = False,
) -> None:
    """Show judge calls, tokens and cost of the project. Needs an admin key."""
    query = {"group_by": group_by.value, "date_from": date_from, "date_to": date_to}
    response = finish(lambda: _get(context.obj, "/usage", query))
    if json:
        typer.echo(json_codec.dumps(response))
        return
    table = screens.table(group_by.value, *_USAGE_COLUMNS, gap=1)
    for group in response:
        cells = (
            "" if group[name] is None else _short(group[name]) for name in _USAGE_COLUMNS.values()
        )
        table.add_row(screens.escape(group["group"] or "none"), *cells)
    screens.out.print(table)
    screens.out.print("Costs in US dollars. --json prints every digit.", style="dim")


def _short(value: float) -> str:
    """Writes large counts in thousands or millions, dollars with two decimals, and less than a
    dollar with four.

    `--json` has all digits.
    """
    if isinstance(value, float):
        return f"{value:,.2f}" if value >= 1 else f"{value:.4f}"
    if value < 100_000:
        return f"{value:,}"
    return f"{value / 1e3:,.0f}k" if value < 10_000_000 else f"{value / 1e6:,.1f}M"


def audit(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Number of changes.")] = 50,
    json: Json = False,
) -> None:
    """Show who created, changed, cancelled or deleted what, newest first. Needs an admin key."""
    response = finish(lambda: _get(context.obj, "/audit", {"limit": limit}))
    if json:
        typer.echo(json_codec.dumps(response))
        return
    table = screens.table("when", "who", "action", "what")
    for entry in response["items"]:
        when = datetime.fromisoformat(entry["created_at"])
        table.add_row(
            f"{when:%Y-%m-%d %H:%M:%S}",
            screens.escape(entry["actor"]),
            entry["action"],
            screens.escape(entry["target"] or ""),
        )
    screens.out.print(table)


async def _get(address: Address, path: str, query: dict[str, Any]) -> Any:
    async with address.client() as client:
        return await client.get(
            path, **{name: value for name, value in query.items() if value is not None}
        )
