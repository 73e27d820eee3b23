"""A bare client over the traces of a file: one call per pair, without retries and storage."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

QUESTIONS = {
    "task_completion": "Did the agent complete what the user asked for?",
    "tool_correctness": "Did the agent call the right tools for the request?",
    "step_efficiency": "Did the agent avoid steps that it did not need?",
}
SCHEMA = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": {"type": "number"}},
}


async def main(base_url: str, path: str, concurrency: int) -> None:
    traces = Path(path).read_text().splitlines()
    asked = [f"{trace}\n\n{question}" for trace in traces for question in QUESTIONS.values()]
    left, failed = iter(asked), [0]
    started = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        lanes = (lane(session, base_url, left, failed) for _ in range(concurrency))
        await asyncio.gather(*lanes)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "pairs": len(asked), "failed": failed[0]}))


async def lane(
    session: aiohttp.ClientSession, base_url: str, left: Iterator[str], failed: list[int]
) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    for prompt in left:
        messages = [{"role": "user", "content": prompt}]
        body: dict[str, Any] = {
            "model": "gpt-4o-mini",
            "messages": messages,
            "response_format": form,
        }
        async with session.post(f"{base_url}/chat/completions", json=body) as answer:
            if answer.status == 200:
                json.loads((await answer.json())["choices"][0]["message"]["content"])
            else:
                failed[0] += 1


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
