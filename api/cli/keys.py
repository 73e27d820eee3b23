"""`assay keys`: manages API keys directly in the database, so that no key is needed to make one."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.table import Table

from api.cli import screens
from api.cli.command import finish
from core import clock
from core.ids import RESERVED_KEY_NAMES, Scope
from core.settings import Settings

if TYPE_CHECKING:
    from core.db.database import Writer

# Database modules are slow to import. Other commands import this module and need no database.

T = TypeVar("T")

app = typer.Typer(help="Manage API keys in the database that the settings name.")


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    project: Annotated[
        str | None,
        typer.Option(help="The key's home project, created if absent. Default: the first project."),
    ] = None,
    any_project: Annotated[
        bool,
        typer.Option(
            "--any-project",
            help="Let requests name other projects. Without --project the key has no home: each "
            "request names a project.",
        ),
    ] = False,
    scope: Annotated[Scope, typer.Option(help="What the key may do.")] = Scope.WRITE,
    days: Annotated[int | None, typer.Option(min=1, help="Days until the key expires.")] = None,
) -> None:
    """Create an API key and print it, once, on standard output."""
    if not name.strip():
        raise typer.BadParameter("Say what the key is for.", param_hint="name")
    if name in RESERVED_KEY_NAMES:
        raise typer.BadParameter("This name is reserved for the first key.", param_hint="name")
    from core.queries import api_keys, audit, projects
    from core.queries.audit import Action

    expires = clock.now() + timedelta(days=days) if days else None

    async def work(db: "Writer") -> str:
        project_id = None
        if project or not any_project:
            project_id = await projects.ensure(db, project or Settings.read().bootstrap_project)
        new = api_keys.NewKey(name, scope, project_id, expires, any_project)
        row, text = await api_keys.create(db, new)
        await audit.record(
            db, Action(action="create_api_key", project_id=project_id, target=str(row.id))
        )
        return text

    screens.err.print("The key, which is shown only once:")
    screens.out.print(finish(lambda: in_database(work)), soft_wrap=True, markup=False)


@app.command("list")
def list_keys() -> None:
    """List all keys with their first characters, never the whole key."""

    from core.queries import api_keys, projects

    async def work(db: "Writer") -> Table:
        rows = await api_keys.every(db)
        names = {
            project_id: await projects.name_of(db, project_id)
            for project_id in {r.project_id for r in rows}
            if project_id
        }
        return screens.key_table(rows, names)

    screens.out.print(finish(lambda: in_database(work)))


@app.command("revoke")
def revoke_key(key_id: Annotated[UUID, typer.Argument(help="Id of a key.")]) -> None:
    """Revoke a key, at once and permanently."""
    from core.queries import api_keys, audit
    from core.queries.audit import Action

    async def work(db: "Writer") -> None:
        await api_keys.revoke(db, key_id)
        await audit.record(db, Action(action="revoke_api_key", target=str(key_id)))

    finish(lambda: in_database(work))
    screens.out.print(f"Key {key_id} is revoked.")


@app.command("rotate")
def rotate_key(
    key_id: Annotated[UUID, typer.Argument(help="Id of a key.")],
    overlap_seconds: Annotated[
        int, typer.Option(min=0, help="How long the old key continues to work.")
    ] = 0,
) -> None:
    """Create a key with the same rights and print it, once.

    The old key stops working after the overlap.
    """
    from core.queries import api_keys, audit
    from core.queries.audit import Action

    async def work(db: "Writer") -> str:
        old = await api_keys.lock(db, key_id)
        _, text = await api_keys.rotate(db, old, overlap_seconds=overlap_seconds)
        await audit.record(db, Action(action="rotate_api_key", target=str(key_id)))
        return text

    screens.err.print("The new key, which is shown only once:")
    screens.out.print(finish(lambda: in_database(work)), soft_wrap=True, markup=False)


async def in_database(work: "Callable[[Writer], Coroutine[Any, Any, T]]") -> T:
    """Runs `work` in one transaction."""
    from core.open_database import open_database

    async with open_database(Settings.read()) as database, database.write() as db:
        return await work(db)
