"""The CPU time of one judge call beyond its HTTP exchange: `python -m bench.judge_call`.

Includes all work of an activity for a pair: loading the trace, rendering, hashing, looking up the
judgement, LiteLLM, parsing, storing judgement and score. Excludes Temporal; `bench.run` measures
the whole stack.
"""

import argparse
import asyncio
import cProfile
import pstats
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import uvloop
from rich.console import Console
from rich.table import Table
from temporalio.testing import ActivityEnvironment

from activities.judging.trace_processes import TraceProcesses
from activities.judging.traces import TraceJudging
from activities.judging.write_buffer import WriteBuffer
from activities.open_pairs import PairLister
from activities.pairs import Pairs
from activities.payloads import PairRef, RunRef
from api.cli.jsonlines import JsonLines
from bench.run import METRICS, trace
from bench.stack import mock_judge
from core import clock, json_codec, migrations
from core.db.database import Database
from core.db.tables import Project
from core.ids import ProjectId, RunStatus, TargetType
from core.queries import run_rows, trace_writes
from core.run_spec import RunSpec
from core.trace_input import TraceBody
from evals.judges.registry import JudgeConfig, configured_judges

MODEL = "openai/gpt-4o-mini"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=Path, help="JSON Lines of trace bodies.")
    parser.add_argument("--count", type=int, default=100, help="How many traces to judge.")
    parser.add_argument("--profile", action="store_true", help="Show where the time goes.")
    options = parser.parse_args()
    bodies = read(options.traces, options.count)
    async with mock_judge("--latency", "0") as url:
        with tempfile.TemporaryDirectory() as folder:
            await measure(url, Path(folder), bodies, profile=options.profile)


def read(path: Path | None, count: int) -> list[TraceBody]:
    if path is None:
        return [TraceBody.model_validate(trace(number)) for number in range(count)]
    with JsonLines(str(path)) as lines:
        found = [TraceBody.model_validate(json_codec.loads(line)) for _, line in lines]
    return found[:count]


async def measure(url: str, folder: Path, bodies: list[TraceBody], *, profile: bool) -> None:
    database = Database(f"sqlite:///{folder}/bench.db")
    await migrations.upgrade(database)
    run = await prepare(database, bodies)
    judges = configured_judges(
        JudgeConfig(model=MODEL, api_base=f"{url}/v1", environment={"OPENAI_API_KEY": "mock"})
    )
    judges.load()
    judging = TraceJudging(database, judges, WriteBuffer(database), TraceProcesses())
    pairs = Pairs(database, judging, PairLister(database))
    asked = [PairRef(run, str(body.trace_id), metric) for body in bodies for metric in METRICS]
    # Warm-up, because many objects are built at their first use.
    await judge(pairs, asked[: len(METRICS)])
    before = await calls(url)
    with cProfile.Profile() if profile else nullcontext() as profiler:
        started = time.process_time()
        await judge(pairs, asked[len(METRICS) :])
        spent = time.process_time() - started
    made = await calls(url) - before
    bare = await bare_exchange(url, made, bodies)
    show(made, len(asked), spent, bare)
    if profiler is not None:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(60)
    await judges.close()
    await database.close()


async def prepare(database: Database, bodies: list[TraceBody]) -> RunRef:
    project = Project(id=uuid4(), name="bench", created_at=clock.now())
    run_id = uuid4()
    async with database.write() as db:
        db.add(project)
        await db.flush()
        for body in bodies:
            await trace_writes.store_all(db, [(ProjectId(project.id), body)])
        spec = RunSpec(
            run_id=run_id,
            project_id=project.id,
            target_type=TargetType.TRACE,
            metric_names=METRICS,
            model=MODEL,
        )
        new = run_rows.NewRun(spec=spec, filters={})
        (await run_rows.create(db, new)).status = RunStatus.RUNNING
    return RunRef(UUID(str(project.id)), run_id)


async def judge(pairs: Pairs, asked: list[PairRef]) -> None:
    slots = asyncio.Semaphore(20)

    async def one(pair: PairRef) -> None:
        async with slots:
            await ActivityEnvironment().run(pairs.judge_pair, pair)

    await asyncio.gather(*(one(pair) for pair in asked))


async def calls(url: str) -> int:
    async with httpx.AsyncClient(base_url=url) as client:
        count: int = (await client.get("/stats")).json()["calls"]
    return count


async def bare_exchange(url: str, count: int, bodies: list[TraceBody]) -> float:
    """CPU seconds of the same number of requests of similar size by a plain client."""
    prompt = bodies[0].model_dump_json()
    schema = {"type": "object", "properties": {"reason": {"type": "string"}}}
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": prompt}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema},
        },
    }
    slots = asyncio.Semaphore(20)
    async with httpx.AsyncClient(base_url=url) as client:

        async def one(number: int) -> None:
            async with slots:
                answer = await client.post(
                    "/v1/chat/completions", json={**body, "user": str(number)}
                )
                answer.raise_for_status()
                answer.json()

        started = time.process_time()
        await asyncio.gather(*(one(number) for number in range(count)))
        return time.process_time() - started


def show(made: int, pairs: int, spent: float, bare: float) -> None:
    table = Table(title="CPU of one judge call, all of ours included", show_header=False)
    table.add_row("pairs, judge calls", f"{pairs}, {made}")
    table.add_row("all of it", f"{1000 * spent / made:.2f} ms per call")
    table.add_row("a bare HTTP exchange (httpx)", f"{1000 * bare / made:.2f} ms")
    table.add_row("over the bare exchange", f"{1000 * (spent - bare) / made:.2f} ms per call")
    Console(width=100).print(table)


if __name__ == "__main__":
    uvloop.run(main())
