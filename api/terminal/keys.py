"""`assay keys`: API keys are made where the database is, so that no key is needed to make one."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.table import Table

from api.terminal import screens
from api.terminal.edge import finish
from core import clock
from core.ids import Scope
from core.settings import Settings

if TYPE_CHECKING:
    from core.database import Writer

# The database is slow to import; the other commands, whose module imports this one, do without.

T = TypeVar("T")

app = typer.Typer(help="API keys, straight in the database that the settings name.")


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    project: Annotated[
        str | None, typer.Option(help="Its project, made when absent; the default one if unset.")
    ] = None,
    any_project: Annotated[
        bool, typer.Option("--any-project", help="Each request names its project in a header.")
    ] = False,
    scope: Annotated[Scope, typer.Option(help="What it may do.")] = Scope.WRITE,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires.")] = None,
) -> None:
    """Make an API key. It is shown once, on standard output."""
    if not name.strip():
        raise typer.BadParameter("Say what the key is for.", param_hint="name")
    from core.queries import keys, projects

    expires = clock.now() + timedelta(days=days) if days else None

    async def work(db: "Writer") -> str:
        project_id = None
        if not any_project:
            project_id = await projects.ensure(db, project or Settings.read().bootstrap_project)
        _, text = await keys.create(db, keys.NewKey(name, scope, project_id, expires))
        return text

    screens.err.print("The key, shown only now:")
    screens.out.print(finish(lambda: in_database(work)), soft_wrap=True, markup=False)


@app.command("list")
def list_keys() -> None:
    """List every key: never its text, only how it begins."""

    from core.queries import keys, projects

    async def work(db: "Writer") -> Table:
        rows = await keys.every(db)
        names = {id: await projects.name_of(db, id) for id in {r.project_id for r in rows} if id}
        return screens.key_table(rows, names)

    screens.out.print(finish(lambda: in_database(work)))


@app.command("revoke")
def revoke_key(key_id: Annotated[UUID, typer.Argument(help="Id of a key.")]) -> None:
    """Make a key useless, at once and for good."""
    from core.queries import keys

    finish(lambda: in_database(lambda db: keys.revoke(db, key_id)))
    screens.out.print(f"Key {key_id} is revoked.")


async def in_database(work: "Callable[[Writer], Coroutine[Any, Any, T]]") -> T:
    """Runs `work` in one transaction."""
    from core.store import opened

    async with opened(Settings.read()) as database, database.write() as db:
        return await work(db)
