"""`assay projects`: manages projects. Deletion goes through the API, which starts a workflow."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.table import Table

from api.cli import screens
from api.cli.command import Address, finish
from api.cli.keys import in_database
from core.money import MAX_BUDGET_USD

if TYPE_CHECKING:
    from core.db.database import Writer

# Database modules are slow to import. Other commands import this module and need no database.

app = typer.Typer(help="Manage projects in the database that the settings name.")

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
                table.add_row(str(row.id), screens.plain(row.name), state)
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
    screens.out.print(f"Project {project_id} is now named {screens.plain(name)}.")


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
