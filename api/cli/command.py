"""Shared parts of all commands: the server's address, and errors printed as one sentence."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import typer

from api.cli import screens
from api.cli.client import Client
from core.embedded.home import Home
from core.embedded.ports import LOCALHOST
from core.errors import AssayError, Misconfigured, Unauthenticated
from core.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Address:
    """ASSAY_URL and ASSAY_API_KEY, each with the home folder's value as default."""

    url: str | None
    api_key: str | None

    def client(self) -> Client:
        credentials = Home(Settings.read().home).credentials()
        url = self.url or (credentials.url if credentials else None)
        if url is None:
            raise Misconfigured(
                "No Assay server is known here. Start one with `assay up`, or set ASSAY_URL and "
                "ASSAY_API_KEY."
            )
        if not url.startswith(("http://", "https://")):
            raise Misconfigured(f"ASSAY_URL must begin with http:// or https://, not {url!r}.")
        # Sends the key of this home folder only to its own server.
        home_key = (
            credentials.api_key
            if credentials and credentials.url.rstrip("/") == url.rstrip("/")
            else None
        )
        if self.url is None and self.api_key is not None and not _is_local(url):
            # The home may be a folder of a repository that somebody else wrote.
            raise Misconfigured(
                f"ASSAY_API_KEY is not sent to {url}, an address from the home folder. Set "
                "ASSAY_URL, too."
            )
        api_key = self.api_key or home_key
        if api_key is None:
            raise Unauthenticated(f"ASSAY_API_KEY is not set, and the home has no key for {url}.")
        return Client(url, api_key)


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in {LOCALHOST, "localhost", "::1"}


def finish(work: Callable[[], Coroutine[Any, Any, T]], *, failure_code: int = 1) -> T:
    """Runs a command's work. Prints an error as one sentence, and exits with the failure code."""
    try:
        return asyncio.run(work())
    except AssayError as error:
        screens.fail(error.message)
        raise typer.Exit(failure_code) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
