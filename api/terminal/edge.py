"""Where commands begin and end: their settings, their server, and errors as one sentence."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import typer

from api.terminal import screens
from api.terminal.client import Client
from core.embedded.home import Home
from core.errors import AssayError, Misconfigured, Unauthenticated
from core.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Address:
    """What ASSAY_URL and ASSAY_API_KEY say; the home folder fills in the rest."""

    url: str | None
    api_key: str | None

    def client(self) -> Client:
        kept = Home(Settings.read().home).credentials()
        url = self.url or (kept.url if kept else None)
        if url is None:
            raise Misconfigured(
                "No Assay is known here. Start one with `assay up`, or set ASSAY_URL and "
                "ASSAY_API_KEY."
            )
        if not url.startswith(("http://", "https://")):
            raise Misconfigured(f"ASSAY_URL must begin with http:// or https://, not {url!r}.")
        # The key of this home is nobody else's business.
        home_key = kept.api_key if kept and kept.url.rstrip("/") == url.rstrip("/") else None
        api_key = self.api_key or home_key
        if api_key is None:
            raise Unauthenticated(f"ASSAY_API_KEY is not set, and no key for {url} is kept here.")
        return Client(url, api_key)


def finish(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a command's work; an error becomes one sentence and exit code 1."""
    try:
        return asyncio.run(work())
    except AssayError as error:
        screens.fail(error.message)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
