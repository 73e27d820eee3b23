"""Measures the cost of browsers that follow one run for the API: `python -m bench.followers`.

One run is judged all the time. Periods with and without browsers alternate; the browsers cost the
difference of the API's CPU time. Each browser holds one event stream of the run's page.
"""

import argparse
import asyncio
import time
from dataclasses import dataclass

import httpx

from bench.claims import Claim, cancel, look, post, report, store
from bench.run import METRICS
from bench.stack import API_KEY, Stack, embedded, mock_judge

MAX_SHARE_OF_A_CORE = 0.20
WARM_SECONDS = 5.0
SETTLING_SECONDS = 3.0


@dataclass(slots=True)
class Period:
    """CPU seconds of the API, and the duration of the period in seconds."""

    cpu: float = 0.0
    seconds: float = 0.0

    @property
    def share(self) -> float:
        return self.cpu / self.seconds


@dataclass(slots=True)
class Followed:
    events: int = 0
    bytes: int = 0


async def cookie(stack: Stack) -> str:
    """The cookie of a browser that signed in with the API key."""
    async with httpx.AsyncClient(base_url=stack.client.base_url) as browser:
        form = (await browser.get("/ui/sign-in")).text
        fields = {"key": API_KEY}
        if 'name="csrf" value="' in form:
            fields["csrf"] = form.partition('name="csrf" value="')[2].partition('"')[0]
        answer = await browser.post("/ui/sign-in", data=fields)
        secret = answer.cookies.get("assay_session")
        if secret is None:
            raise RuntimeError(f"Signing in was answered {answer.status_code}.")
        return f"assay_session={secret}"


async def follow(stack: Stack, path: str, session: str, followed: Followed) -> None:
    """Reads one event stream until it is cancelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
    try:
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Cookie: {session}", "\r\n"]
        writer.write("\r\n".join(lines).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise RuntimeError(f"{path} was answered {head[:40]!r}.")
        while chunk := await reader.read(1 << 20):
            followed.bytes += len(chunk)
            followed.events += chunk.count(b"data: ")
    finally:
        writer.close()


async def spell(stack: Stack, period: Period, seconds: float) -> None:
    before, began = stack.cpu_seconds()["api"], time.perf_counter()
    await asyncio.sleep(seconds)
    period.cpu += stack.cpu_seconds()["api"] - before
    period.seconds += time.perf_counter() - began


async def measure(stack: Stack, options: argparse.Namespace) -> tuple[Period, Period, Followed]:
    await store(stack, options.traces)
    run = await post(stack, METRICS, first=0, count=options.traces)
    session = await cookie(stack)
    path = f"/ui/default/runs/{run['id']}/events"
    alone, beside, followed = Period(), Period(), Followed()
    await asyncio.sleep(WARM_SECONDS)
    for _ in range(options.rounds):
        await spell(stack, alone, options.seconds)
        streams = [
            asyncio.create_task(follow(stack, path, session, followed))
            for _ in range(options.browsers)
        ]
        await asyncio.sleep(SETTLING_SECONDS)
        await spell(stack, beside, options.seconds)
        for one in streams:
            one.cancel()
        for ended in await asyncio.gather(*streams, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        await asyncio.sleep(SETTLING_SECONDS)
    if (await look(stack, run))["status"] != "RUNNING":
        raise RuntimeError("The run ended too soon: give it more traces with --traces.")
    await cancel(stack, run)
    return alone, beside, followed


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--browsers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0, help="Of each period.")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--traces", type=int, default=4_000)
    parser.add_argument("--latency", type=float, default=0.5, help="Seconds per judge call.")
    options = parser.parse_args()
    async with mock_judge("--latency", str(options.latency)) as judge, embedded(judge) as stack:
        alone, beside, followed = await measure(stack, options)
    share = beside.share - alone.share
    seconds = beside.seconds + options.rounds * SETTLING_SECONDS
    rate = followed.events / seconds / options.browsers
    claims = [
        Claim("events per second and browser", f"{rate:.1f}"),
        Claim("kilobytes per event", f"{followed.bytes / 1000 / max(1, followed.events):.1f}"),
        Claim("API without browsers, share of a core", f"{alone.share:.1%}"),
        Claim(
            f"{options.browsers} browsers that follow one run, share of a core",
            f"{share:.1%}",
            f"less than {MAX_SHARE_OF_A_CORE:.0%}",
            share < MAX_SHARE_OF_A_CORE,
        ),
    ]
    report("A run that browsers follow", claims)


if __name__ == "__main__":
    asyncio.run(main())
