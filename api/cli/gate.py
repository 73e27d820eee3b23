"""`assay gate`."""

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from typer._click.exceptions import UsageError  # Typer contains its own copy of Click.
from typer.core import TyperCommand

from api.cli import comparing, gating, screens
from api.cli.command import Address, finish
from api.cli.comparing import Margin, Metrics, PairBy
from api.cli.gating import Check, FailOn, GateExit, OnCannotTell
from core.errors import Invalid

RunOption = Annotated[UUID | None, typer.Option(help="Id of a run.")]


class _Unusable(UsageError):
    exit_code = GateExit.UNUSABLE


class _ExitThree(TyperCommand):
    """Exits with 3 for unusable options, because 2 means that the scores cannot tell."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            raise _Unusable(error.message, error.ctx) from None


def register(app: typer.Typer) -> None:
    app.command(cls=_ExitThree)(gate)


def gate(
    context: typer.Context,
    baseline: RunOption = None,
    candidate: RunOption = None,
    run: RunOption = None,
    minimum: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="METRIC=VALUE", help="Floor of --run. Repeatable."),
    ] = None,
    metric: Metrics = None,
    pair_by: PairBy = None,
    margin: Margin = 0.02,
    fail_on: Annotated[FailOn, typer.Option(help="Verdict that fails the gate.")] = "worse",
    cannot_tell: Annotated[
        OnCannotTell, typer.Option(help="report: exit code 2; pass: 0; fail: 1.")
    ] = "report",
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit file.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write Markdown.")] = None,
) -> None:
    """Pass or fail a build. Exit code 0: pass, 1: worse, 2: cannot tell, 3: usage error."""

    async def checks() -> list[Check]:
        if run is not None and minimum and baseline is None and candidate is None:
            scores = await _scores(context.obj, run)
            return gating.absolute_checks(
                scores, gating.floors_of(minimum), cannot_tell=cannot_tell
            )
        if baseline is not None and candidate is not None and run is None and not minimum:
            body = comparing.body_of(baseline, candidate, pair_by, metric, margin)
            async with context.obj.client() as client:
                decided = await comparing.compared(client, body)
            return gating.relative_checks(
                decided, metric or [], fail_on=fail_on, cannot_tell=cannot_tell
            )
        raise Invalid("Give --baseline and --candidate, or --run and --min METRIC=VALUE.")

    decided = finish(checks, failure_code=GateExit.UNUSABLE)
    for check in decided:
        word = check.outcome.name.replace("_", " ").lower()
        screens.print_verbatim(f"{word:12} {check.reason}")
    _write(junit, gating.junit(decided))
    _write(summary, gating.markdown(decided).encode())
    raise typer.Exit(gating.verdict_of(decided))


def _write(path: Path | None, content: bytes) -> None:
    if path is None:
        return
    try:
        path.write_bytes(content)
    except OSError as error:
        screens.fail(f"{path} cannot be written: {error.strerror}.")
        raise typer.Exit(GateExit.UNUSABLE) from None


async def _scores(address: Address, run_id: UUID) -> list[dict[str, Any]]:
    async with address.client() as client:
        return await comparing.scores_of_ended(client, str(run_id))
