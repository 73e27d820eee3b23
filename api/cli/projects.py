"""`assay projects`: manages projects. Deletion goes through the API, which starts a workflow."""

from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import typer
from rich.table import Table

from api.cli import screens
from api.cli.command import Address, finish
from api.cli.keys import in_database
from core.money import MAX_BUDGET_USD
from core.retention import FOR_EVER, MAX_RETENTION_DAYS

if TYPE_CHECKING:
    from core.db.database import Writer

# Database modules are slow to import. Other commands import this module and need no database.

app = typer.Typer(help="Manage projects in the database that the settings name.")

OwnDays = Annotated[
    str | None, typer.Option(help="Days; `forever`; or `default`, as the installation says.")
]

ProjectIdArgument = Annotated[UUID, typer.Argument(help="Id of a project.")]


@app.command("list")
def list_projects() -> None:
    """List all projects with their ids."""
    from core.db.paging import Page
    from core.queries import projects

    async def work(db: "Writer") -> Table:
        table = screens.table("id", "name", "state")
        offset = 0
        while True:
            rows, total = await projects.page(db, Page(200, offset), only=None)
            for row in rows:
                state = f"{row.deleted_rows:,} rows deleted" if row.deleted_at else "active"
                table.add_row(str(row.id), screens.escape(row.name), state)
            offset += len(rows)
            if not rows or offset >= total:
                return table

    screens.out.print(finish(lambda: in_database(work)))


@app.command("create")
def create_project(
    name: Annotated[str, typer.Argument(help="Unique; clients send it as X-Project-Name.")],
    description: Annotated[str | None, typer.Option(help="What the project is for.")] = None,
) -> None:
    """Create a project and print its id."""
    from core.queries import audit, projects
    from core.queries.audit import Action

    if not 1 <= len(name) <= projects.MAX_NAME_LENGTH or not name.isprintable():
        raise typer.BadParameter(
            f"Use 1 to {projects.MAX_NAME_LENGTH} printable characters.", param_hint="name"
        )

    async def work(db: "Writer") -> str:
        row = await projects.create(db, name, description)
        await audit.record(
            db, Action(action="create_project", project_id=row.id, target=str(row.id))
        )
        return str(row.id)

    screens.out.print(finish(lambda: in_database(work)))


@app.command("rename")
def rename_project(
    project_id: ProjectIdArgument,
    name: Annotated[str, typer.Argument(help="The new name.")],
) -> None:
    """Rename a project. Clients that send the old name then create a new project."""
    from core.queries import audit, projects
    from core.queries.audit import Action

    if not 1 <= len(name) <= projects.MAX_NAME_LENGTH or not name.isprintable():
        raise typer.BadParameter(
            f"Use 1 to {projects.MAX_NAME_LENGTH} printable characters.", param_hint="name"
        )

    async def work(db: "Writer") -> None:
        await projects.change(db, project_id, {"name": name})
        await audit.record(
            db, Action(action="update_project", project_id=project_id, target=str(project_id))
        )

    finish(lambda: in_database(work))
    screens.out.print(f"Project {project_id} is now named {screens.escape(name)}.")


@app.command("budget")
def set_budget(
    project_id: ProjectIdArgument,
    amount: Annotated[
        str, typer.Argument(help="US dollars per calendar month (UTC), or `none` for no limit.")
    ],
) -> None:
    """Set the monthly budget of a project. Runs pause when it is spent."""
    from core.queries import audit, projects
    from core.queries.audit import Action

    budget = None if amount == "none" else _dollars(amount)

    async def work(db: "Writer") -> None:
        await projects.change(db, project_id, {"monthly_budget_usd": budget})
        await audit.record(
            db, Action(action="update_project", project_id=project_id, target=str(project_id))
        )

    finish(lambda: in_database(work))
    shown = "no monthly budget" if budget is None else f"a budget of {budget:.2f} USD per month"
    screens.out.print(f"Project {project_id} has {shown}.")


@app.command("retention")
def set_retention(
    project_id: ProjectIdArgument,
    traces: OwnDays = None,
    runs: OwnDays = None,
    judgements: OwnDays = None,
    usage: OwnDays = None,
) -> None:
    """Set for how many days a project keeps its rows, and print what holds.

    Without options nothing changes. Rows past their age are deleted within two hours, for good.
    """
    from core.queries import audit, projects
    from core.queries.audit import Action

    named = {"traces": traces, "runs": runs, "judgements": judgements, "usage": usage}
    changes = {
        f"retention_{kind}_days": _days(kind, text)
        for kind, text in named.items()
        if text is not None
    }

    async def work(db: "Writer") -> dict[str, int | None]:
        if changes:
            await projects.change(db, project_id, changes)
            await audit.record(
                db, Action(action="update_project", project_id=project_id, target=str(project_id))
            )
        row = await projects.get(db, project_id)
        return {kind: getattr(row, f"retention_{kind}_days") for kind in named}

    for kind, days in finish(lambda: in_database(work)).items():
        shown = f"kept for {days} days" if days else "kept for ever"
        screens.out.print(f"{kind}: {'as the installation says' if days is None else shown}")


def _days(kind: str, text: str) -> int | None:
    """None for the days of the installation."""
    if text in _DAYS_BY_WORD:
        return _DAYS_BY_WORD[text]
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MAX_RETENTION_DAYS:
        raise typer.BadParameter(
            f"Use 1 to {MAX_RETENTION_DAYS} days, `forever` or `default`.", param_hint=f"--{kind}"
        )
    return int(text)


_DAYS_BY_WORD: Final[dict[str, int | None]] = {"forever": FOR_EVER, "default": None}


def _dollars(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = 0.0
    if not 0 < amount <= MAX_BUDGET_USD:
        raise typer.BadParameter(
            f"Use an amount above 0 and up to {MAX_BUDGET_USD:,}, or `none`.", param_hint="amount"
        )
    return amount


@app.command("delete")
def delete_project(
    context: typer.Context,
    project_id: ProjectIdArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a project and everything in it, in the background. Needs an admin key."""
    if not yes:
        typer.confirm(f"Delete project {project_id} and everything in it?", abort=True)
    finish(lambda: _delete(context.obj, project_id))
    screens.out.print(f"Project {project_id} is being deleted; `assay projects list` shows it.")


async def _delete(address: Address, project_id: UUID) -> None:
    async with address.client() as client:
        await client.delete(f"/projects/{project_id}")
