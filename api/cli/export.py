"""`assay export`: scores, traces and comparisons as files."""

from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import typer

from api.cli import screens
from api.cli.command import Address, finish
from core.errors import Invalid

app = typer.Typer(help="Write scores, traces and comparisons to files.")

Output = Annotated[Path, typer.Option("--output", "-o", help="File to write; - for stdout.")]


@app.command()
def scores(
    context: typer.Context,
    run_id: Annotated[UUID, typer.Argument(help="Id of a run.")],
    output: Output,
    file_format: Annotated[
        Literal["jsonl", "csv", "parquet"] | None,
        typer.Option("--format", help="Default: the ending of the file's name."),
    ] = None,
    sessions: Annotated[bool, typer.Option("--sessions", help="The run judges sessions.")] = False,
) -> None:
    """Export the scores of a run."""
    kind = _kind(output, file_format, ("jsonl", "csv", "parquet"))
    noun = "session" if sessions else "trace"
    finish(lambda: _save(context.obj, f"/evaluations/{noun}-runs/{run_id}/scores.{kind}", output))


@app.command()
def traces(
    context: typer.Context,
    output: Output,
    file_format: Annotated[
        Literal["jsonl", "parquet"] | None,
        typer.Option("--format", help="Default: the ending of the file's name."),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Traces with this tag. Repeatable.")] = None,
    name: Annotated[str | None, typer.Option(help="Traces whose name contains this text.")] = None,
    session_id: Annotated[str | None, typer.Option(help="Traces of this session.")] = None,
    started_after: Annotated[str | None, typer.Option(help="ISO 8601.")] = None,
    started_before: Annotated[str | None, typer.Option(help="ISO 8601.")] = None,
) -> None:
    """Export traces; `assay import` reads the JSON Lines again."""
    kind = _kind(output, file_format, ("jsonl", "parquet"))
    given = {
        "tags": tag,
        "name": name,
        "session_id": session_id,
        "started_after": started_after,
        "started_before": started_before,
    }
    query = {key: value for key, value in given.items() if value}
    finish(lambda: _save(context.obj, f"/traces.{kind}", output, query))


@app.command()
def comparison(
    context: typer.Context,
    comparison_id: Annotated[UUID, typer.Argument(help="Id of a comparison.")],
    output: Output,
    file_format: Annotated[
        Literal["json", "md"] | None,
        typer.Option("--format", help="Default: the ending of the file's name."),
    ] = None,
) -> None:
    """Export a comparison."""
    kind = _kind(output, file_format, ("json", "md"))
    finish(lambda: _save(context.obj, f"/evaluations/comparisons/{comparison_id}.{kind}", output))


def _kind(output: Path, named: str | None, known: tuple[str, ...]) -> str:
    kind = named or output.suffix.removeprefix(".")
    if kind not in known:
        screens.fail(f"Name a format with --format: {', '.join(known)}.")
        raise typer.Exit(2)
    return kind


async def _save(
    address: Address, path: str, output: Path, query: dict[str, Any] | None = None
) -> None:
    """Writes to a temporary file and renames it at the end, so that a failed export leaves no
    partial file.
    """
    async with address.client() as client:
        if str(output) == "-":
            stdout = typer.get_binary_stream("stdout")
            async for part in client.download(path, query):
                stdout.write(part)
            return
        partial = output.with_name(f"{output.name}.partial")
        try:
            with partial.open("wb") as file:
                async for part in client.download(path, query):
                    file.write(part)
            partial.replace(output)
        except OSError as error:
            raise Invalid(f"{output} cannot be written: {error.strerror}.") from None
        finally:
            partial.unlink(missing_ok=True)
