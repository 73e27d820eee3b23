"""The floor of `bench.throughput`: a client that makes the same calls and stores nothing."""

import asyncio
import time
from collections.abc import Iterator

import aiohttp

from bench.run import trace
from core import json_codec

_SCHEMA = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": {"type": "number"}},
}


async def floor_seconds(judge_url: str, calls: int, concurrency: int) -> float:
    """Wall-clock seconds for this number of distinct judge calls at this concurrency."""
    url = f"{judge_url.rstrip('/')}/v1/chat/completions"
    left = iter(range(calls))
    prompt = json_codec.dumps(trace(0))
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
        async with session.post(url, data=json_codec.dumps(asked)) as answer:
            answer.raise_for_status()
            json_codec.loads(await answer.read())
