"""`assay up`: starts the embedded stack, prints its addresses, judges the bundled examples."""

import secrets
import time
from pathlib import Path
from typing import Any

from rich.table import Table

import core
from api.cli import jsonlines, screens
from api.cli.client import Client
from api.doctor.start_report import troubles_of_stack
from core.embedded import ports
from core.embedded import stack as embedded
from core.embedded.home import Credentials, Home
from core.errors import AssayError
from core.open_database import open_database
from core.queries import api_keys, dashboard_sessions
from core.queries.workers import offered
from core.settings import Settings
from evals.judges.offline import OFFLINE_MODEL

EXAMPLES = Path(core.__file__).parent / "examples"
EXAMPLE_RUN = "Bundled examples"
EXAMPLE_METRICS = ["task_completion", "tool_correctness", "step_efficiency"]

NO_KEY_FOUND = (
    f"{OFFLINE_MODEL}, because no provider key was found: rules that read the structure of a "
    "trace, not its meaning. Their scores are a baseline, not a verdict.\nFor a real judge: "
    "export OPENAI_API_KEY=… (or ANTHROPIC_API_KEY, GEMINI_API_KEY, …) and start again. README.md "
    "lists the others."
)

Json = dict[str, Any]


async def serve(settings: Settings, *, workers: int, demo: bool) -> None:
    home = Home(settings.home)
    with home.hold():
        here = embedded.temporal_elsewhere() is None
        ports.check_ports(settings, with_temporal=here, workers=workers)
        plan = _plan(settings, home, workers)
        home.save(Credentials(url=plan.api_url, api_key=plan.api_key))
        await _serve(plan, demo=demo)
    screens.out.print("Stopped. All data stays in " + screens.escape(str(home.path)))


def _plan(settings: Settings, home: Home, workers: int) -> embedded.StackPlan:
    kept = home.credentials()
    if settings.bootstrap_api_key:
        api_key = settings.bootstrap_api_key.get_secret_value()
    else:
        api_key = kept.api_key if kept else f"assay_{secrets.token_urlsafe(24)}"
    return embedded.StackPlan(
        settings=settings,
        home=home,
        workers=workers,
        api_port=settings.api_port or ports.free_port(),
        api_key=api_key,
    )


async def _serve(plan: embedded.StackPlan, *, demo: bool) -> None:
    began = time.monotonic()
    spinner = screens.err.status("Starting …")
    stack = embedded.LocalStack(plan, screens.note)

    async def when_ready() -> None:
        spinner.stop()
        screens.out.print(await _welcome(plan, time.monotonic() - began))
        if demo:
            try:
                async with Client(plan.api_url, plan.api_key) as client:
                    await judge_examples(client)
            except AssayError as error:
                # The stack continues to serve without the examples.
                screens.fail(error.message)
        await _report_troubles(plan.settings)
        link = await _dashboard_link(plan)
        screens.out.print(f"\n[bold]Dashboard[/bold]  {link}", soft_wrap=True)
        screens.out.print("Serving. Ctrl-C stops everything.")

    with spinner:
        await stack.serve(when_ready)


async def _welcome(plan: embedded.StackPlan, seconds: float) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.title = f"[bold]Assay is up[/bold] ({seconds:.1f} s)"
    table.title_justify = "left"
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("API", f"{plan.api_url}   docs: {plan.api_url}/docs")
    elsewhere = embedded.temporal_elsewhere()
    if elsewhere:
        table.add_row("Temporal", f"{elsewhere}, from TEMPORAL_ADDRESS or the profile")
    else:
        ui = f"http://{ports.LOCALHOST}:{plan.settings.temporal_ui_port}"
        table.add_row("Temporal UI", ui)
    table.add_row("API key", screens.escape(plan.api_key))
    table.add_row("Judge", await _judge(plan.settings))
    table.add_row("Data, logs", screens.escape(str(plan.home.path)))
    return table


async def _dashboard_link(plan: embedded.StackPlan) -> str:
    """A link that signs in one browser, once; other browsers sign in with the API key."""
    async with open_database(plan.settings) as database, database.write() as db:
        keys = await api_keys.find_usable(db, {plan.api_key})
        secret = await dashboard_sessions.make_link(db, keys[plan.api_key].id)
    return f"{plan.api_url}/ui/sign-in?link={secret}"


async def _report_troubles(settings: Settings) -> None:
    async with open_database(settings) as database:
        found = await troubles_of_stack(settings, database)
    for finding in found:
        screens.note(f"{finding.check}: {finding.text}")


async def _judge(settings: Settings) -> str:
    """The default judge, and the reason for its choice."""
    async with open_database(settings) as database, database.read() as db:
        offer = await offered(db)
    model = offer.default_model or "unknown so far"
    if model == OFFLINE_MODEL and not settings.judge_model:
        return NO_KEY_FOUND
    why = "set by ASSAY_JUDGE_MODEL" if settings.judge_model else "because its key was found"
    provider = offer.provider_of(model)
    warning = f"\n{provider.message}" if provider and not provider.available else ""
    return f"{screens.escape(model)}, {why}[red]{screens.escape(warning)}[/red]"


async def judge_examples(client: Client) -> None:
    """Judges the bundled examples, once per project, and prints their scores."""
    run = await _run_over_examples(client)
    if run is None:
        return
    ended = await screens.watch(client.follow(run["id"]))
    if ended["status"] == "FAILED":
        screens.fail(screens.ending(ended))
        return
    scores: list[Json] = await client.get(f"/evaluations/trace-runs/{ended['id']}/scores")
    names = {body["trace_id"]: body["name"] for body in examples()}
    screens.out.print(screens.example_table(scores, names, EXAMPLE_METRICS))
    screens.out.print(f"Every reason: {screens.command()} scores {ended['id']}", soft_wrap=True)


async def _run_over_examples(client: Client) -> Json | None:
    """The unfinished run of an earlier start, else a new run; None if the examples are already
    judged.
    """
    run = await _examples_under_way(client)
    if run is not None:
        screens.out.print("\nContinuing an earlier run over the bundled examples:")
        return run
    if await _were_judged(client):
        return None
    traces = examples()
    for body in traces:
        await client.store_trace(body)
    screens.out.print(
        f"\nThe {len(traces)} bundled examples, judged by {', '.join(EXAMPLE_METRICS)}:"
    )
    started: Json = await client.post(
        "/evaluations/trace-runs/batch",
        {
            "trace_ids": [body["trace_id"] for body in traces],
            "metrics": EXAMPLE_METRICS,
            "name": EXAMPLE_RUN,
        },
    )
    return started


def examples() -> list[Json]:
    bodies: list[Json] = []
    for path in sorted(EXAMPLES.glob("*.jsonl")):
        with jsonlines.JsonLines(str(path)) as lines:
            bodies += [jsonlines.parse(line) for _, line in lines]
    return bodies


async def _examples_under_way(client: Client) -> Json | None:
    page = await client.get("/evaluations/trace-runs", limit=200)
    unfinished = (
        run
        for run in page["items"]
        if run["name"] == EXAMPLE_RUN and run["status"] in ("PENDING", "RUNNING")
    )
    return next(unfinished, None)


async def _were_judged(client: Client) -> bool:
    """Whether a score of the first metric exists.

    This metric applies to every trace and always needs a judge.
    """
    page = await client.get(
        "/evaluations/trace-scores",
        trace_id=examples()[0]["trace_id"],
        name=EXAMPLE_METRICS[0],
        source="AUTOMATED",
        status="SUCCESS",
        limit=1,
    )
    return bool(page["total"])
