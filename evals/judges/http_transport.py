"""Sends judge calls over one persistent session, with limited response size and only to allowed
hosts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx

from evals.judges.allowed_hosts import host_of
from evals.judges.completion import MAX_ANSWER_BYTES, AnswerTooLarge
from evals.judges.fault_parsing import fault_of

_MAX_ERROR_BYTES: Final = 64_000
_KEEP_ALIVE_SECONDS: Final = 30.0
_DNS_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpTransport:
    """The pool has no limit, because the rate control limits the connections."""

    def __init__(self) -> None:
        self._opened: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Follows no redirect. Raises Fault without a response, and AnswerTooLarge."""
        try:
            async with self._session().post(
                url, data=body, headers=headers, proxy=self._proxy(url), allow_redirects=False
            ) as response:
                return Response(response.status, response.headers, await _read(response))
        except (aiohttp.ClientError, OSError) as error:
            raise fault_of(error) from None

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    def _proxy(self, url: str) -> str | None:
        """The result is cached: the environment does not change, and reading it takes as long as
        sending a call.
        """
        if url not in self._proxies:
            self._proxies[url] = _proxy_for(url)
        return self._proxies[url]

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    ssl=httpx.create_ssl_context(),
                    keepalive_timeout=_KEEP_ALIVE_SECONDS,
                    ttl_dns_cache=_DNS_SECONDS,
                ),
                # The caller sets a time-out around the whole call.
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                # An answer has a few kilobytes; compression would cost more than it saves.
                headers={"Accept-Encoding": "identity", "User-Agent": "assay"},
            )
        return self._opened


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body of an answer, or the beginning of the body of an error."""
    most = MAX_ANSWER_BYTES if response.status < 400 else _MAX_ERROR_BYTES
    declared = response.content_length or 0
    parts: list[bytes] = []
    size = 0
    if declared <= most or response.status >= 400:
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > most:
                break
    if max(size, declared) > most:
        # The rest of the body stays unread, so the connection cannot be reused.
        response.close()
        if response.status < 400:
            raise AnswerTooLarge
    return b"".join(parts)[:most]


def _proxy_for(url: str) -> str | None:
    """The proxy that the environment of the process sets for this address."""
    proxies = getproxies()
    if not proxies or proxy_bypass(host_of(url)):
        return None
    return proxies.get(url.partition(":")[0])
