"""The floor of `bench.throughput`: the same calls with nothing kept."""

import asyncio
import time
from collections.abc import Iterator

import aiohttp

from bench.run import trace
from core import jsontext

_SCHEMA = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": {"type": "number"}},
}


async def floor_seconds(judge_url: str, calls: int, concurrency: int) -> float:
    """Wall-clock seconds of so many distinct judge calls, so many of them at once."""
    url = f"{judge_url.rstrip('/')}/v1/chat/completions"
    left = iter(range(calls))
    prompt = jsontext.dumps(trace(0))
    began = time.perf_counter()
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(concurrency):
            group.create_task(_lane(session, url, prompt, left))
    return time.perf_counter() - began


async def _lane(session: aiohttp.ClientSession, url: str, prompt: str, left: Iterator[int]) -> None:
    for number in left:
        asked = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": f"{number} {prompt}"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": _SCHEMA},
            },
        }
        async with session.post(url, data=jsontext.dumps(asked)) as answer:
            answer.raise_for_status()
            jsontext.loads(await answer.read())
