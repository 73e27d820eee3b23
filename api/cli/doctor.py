"""`assay doctor`: checks this installation and says what to do."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table

from api.cli import screens
from api.cli.command import finish
from core import json_codec
from core.settings import Settings

if TYPE_CHECKING:
    from api.doctor.check_result import CheckResult

# Modules of the database and of Temporal are slow to import, and only this command needs them.

CANNOT_CHECK: Final = 3

_STYLES: Final = {"fine": "green", "warning": "yellow", "problem": "bold red"}


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Check database, Temporal, workers, keys, clocks and disk, and say what to do.

    Exit code 0: nothing to do; 1: warnings; 2: problems; 3: the settings cannot be used.
    """
    from api.doctor.check_result import worst
    from api.doctor.examination import examine

    found = finish(lambda: examine(Settings.read()), failure_code=CANNOT_CHECK)
    if json:
        results = [asdict(result) for result in found]
        typer.echo(json_codec.dumps({"worst": worst(found), "results": results}))
    else:
        screens.out.print(table(found))
    raise typer.Exit(worst(found).exit_code)


def table(found: "list[CheckResult]") -> Table:
    shown = Table(box=None, show_header=False, pad_edge=False)
    shown.add_column(no_wrap=True)
    shown.add_column(style="bold", no_wrap=True)
    shown.add_column(overflow="fold")
    for result in found:
        style = _STYLES[result.level]
        text = screens.escape(result.sentence)
        remedy = f"\n{screens.escape(result.remedy)}" if result.remedy else ""
        shown.add_row(f"[{style}]{result.level}[/{style}]", result.check, text + remedy)
    return shown
