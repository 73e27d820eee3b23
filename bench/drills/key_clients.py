"""Clients that send requests while their API key is replaced."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from bench.claims import RUNS, Claim
from bench.drills.installation import until
from bench.drills.load import none

CLIENTS: Final = 8
PAUSE_SECONDS: Final = 0.05
LAST_CHANGE: Final = 0.6
"""The share of the overlap after which every client has changed to the new key."""
MAX_LATE_SECONDS: Final = 5.0
"""How long after the overlap the old key may still work."""


@dataclass
class KeyClients:
    """Each client reads runs from each API in turn, and changes to the new key when it likes."""

    ports: tuple[int, ...]
    statuses: Counter[int] = field(default_factory=Counter)

    async def rotate(self, admin: httpx.AsyncClient, overlap_seconds: int) -> list[Claim]:
        """Creates a key, rotates it under the requests of all clients."""
        old = await _created(admin, "/api-keys", name="rotated", scope="read")
        async with asyncio.TaskGroup() as clients:
            over = asyncio.Event()
            new: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            for number in range(CLIENTS):
                change = LAST_CHANGE * overlap_seconds * random.Random(number).random()
                clients.create_task(self._requests(old["key"], new, change, over))
            await asyncio.sleep(1)
            path = f"/api-keys/{old['id']}/rotate"
            rotated = await _created(admin, path, overlap_seconds=overlap_seconds)
            began = time.monotonic()
            accepted = await self._seconds_until(rotated["key"], 200)
            new.set_result(rotated["key"])
            await asyncio.sleep(overlap_seconds - (time.monotonic() - began))
            over.set()
        late = await self._seconds_until(old["key"], 401)
        refused = self.statuses.total() - self.statuses[200]
        return [
            Claim("API key: requests during the rotation", str(self.statuses.total())),
            none("API key: requests refused", refused),
            Claim("API key: until every API accepts the new key", f"{accepted:.1f} s"),
            Claim(
                "API key: until every API refuses the old key, after the overlap",
                f"{late:.1f} s",
                f"< {MAX_LATE_SECONDS:.0f} s",
                late < MAX_LATE_SECONDS,
            ),
        ]

    async def _requests(
        self, old: str, new: asyncio.Future[str], change: float, over: asyncio.Event
    ) -> None:
        changed_at = None
        async with httpx.AsyncClient(timeout=60) as client:
            while not over.is_set():
                for port in self.ports:
                    if new.done() and changed_at is None:
                        changed_at = time.monotonic() + change
                    changed = changed_at is not None and time.monotonic() > changed_at
                    self.statuses[await _read(client, port, new.result() if changed else old)] += 1
                await asyncio.sleep(PAUSE_SECONDS)

    async def _seconds_until(self, key: str, status: int) -> float:
        began = time.monotonic()
        async with httpx.AsyncClient(timeout=60) as client:

            async def is_so() -> bool:
                return all([await _read(client, port, key) == status for port in self.ports])

            await until(is_so, seconds=60)
        return time.monotonic() - began


async def _read(client: httpx.AsyncClient, port: int, key: str) -> int:
    headers = {"X-API-Key": key, "X-Project-Name": "default"}
    answer = await client.get(
        f"http://127.0.0.1:{port}{RUNS}", params={"limit": 1}, headers=headers
    )
    return answer.status_code


async def _created(admin: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await admin.post(path, json=body)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
